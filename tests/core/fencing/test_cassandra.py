import itertools

import pytest

from core.fencing import StaleToken
from core.fencing.cassandra import FencedTable, WriteUnknown
from locks.stores.cassandra.connection import Connection
from tests.support.cassandra import tables

TEXT = "CREATE TABLE IF NOT EXISTS {keyspace}.account (id int PRIMARY KEY, balance int, fence bigint)"
IDS = itertools.count()


@pytest.fixture(scope="package")
def accounts(shared_ring):
    """A table that is known to every node."""
    tables.make(shared_ring, TEXT)
    return "account"


@pytest.fixture
def table(ring, accounts):
    made = FencedTable(ring.proxied, table=accounts, key=["id"], values=["balance"])
    yield made
    made.close()


@pytest.fixture
def key():
    """A row that no other test writes."""
    return {"id": next(IDS)}


def test_a_stale_writer_changes_nothing(table, key, tokens):
    table.write(key, {"balance": 1}, token=tokens.stale)
    table.write(key, {"balance": 2}, token=tokens.fresh)

    with pytest.raises(StaleToken) as caught:
        table.write(key, {"balance": 3}, token=tokens.stale)

    assert tokens.fresh == caught.value.seen
    assert {**key, "balance": 2, "fence": tokens.fresh} == table.read(key)


def test_without_the_fence_it_would(table, key, ring, tokens):
    table.write(key, {"balance": 2}, token=tokens.fresh)
    plain = Connection(ring.direct, texts={"plain": "UPDATE {keyspace}.account SET balance = :balance WHERE id = :id IF fence >= 0"})
    plain.ask("plain", {**key, "balance": 3}, number=0, timeout_seconds=10)
    plain.close()

    assert {**key, "balance": 3, "fence": tokens.fresh} == table.read(key)


def test_a_lost_answer_is_asked_for_again(table, key, ring, tokens):
    table.write(key, {"balance": 1}, token=tokens.stale)
    ring.faults[0].lose_replies()
    table.write(key, {"balance": 2}, token=tokens.fresh)

    assert {**key, "balance": 2, "fence": tokens.fresh} == table.read(key)


def test_without_a_quorum_nobody_knows(table, key, ring, tokens):
    table.write(key, {"balance": 1}, token=tokens.stale)
    for node in ring.nodes[1:]:
        node.stall()

    with pytest.raises(WriteUnknown):
        table.write(key, {"balance": 2}, token=tokens.fresh, timeout_seconds=4)
