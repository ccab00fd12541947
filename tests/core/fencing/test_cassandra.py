import uuid

import pytest

from core.fencing import StaleToken
from core.fencing.cassandra import FencedTable, WriteUnknown
from locks.stores.cassandra.connection import Connection


@pytest.fixture
def table(ring):
    """A table of the ring's keyspace, and what reads and writes it."""
    name = f"account_{uuid.uuid4().hex[:12]}"
    plain = Connection(ring.direct, texts={})
    session = plain.session(10)
    session.execute(f"CREATE TABLE {ring.direct.keyspace}.{name} (id int PRIMARY KEY, balance int, fence bigint)")
    session.cluster.control_connection.wait_for_schema_agreement()
    made = FencedTable(ring.proxied, table=name, key=["id"], values=["balance"])
    yield made
    made.close()
    session.execute(f"DROP TABLE {ring.direct.keyspace}.{name}")
    plain.close()


def test_a_stale_writer_changes_nothing(table, tokens):
    table.write({"id": 1}, {"balance": 1}, token=tokens.stale)
    table.write({"id": 1}, {"balance": 2}, token=tokens.fresh)

    with pytest.raises(StaleToken) as caught:
        table.write({"id": 1}, {"balance": 3}, token=tokens.stale)

    assert tokens.fresh == caught.value.seen
    assert {"id": 1, "balance": 2, "fence": tokens.fresh} == table.read({"id": 1})


def test_a_stale_writer_makes_no_row_beside_a_fresh_one(table, tokens):
    table.write({"id": 1}, {"balance": 2}, token=tokens.fresh)

    with pytest.raises(StaleToken):
        table.write({"id": 1}, {"balance": 3}, token=tokens.stale)
    assert table.read({"id": 2}) is None


def test_a_lost_answer_is_asked_for_again(table, ring, tokens):
    table.write({"id": 1}, {"balance": 1}, token=tokens.stale)
    ring.faults[0].lose_replies()
    table.write({"id": 1}, {"balance": 2}, token=tokens.fresh)

    assert {"id": 1, "balance": 2, "fence": tokens.fresh} == table.read({"id": 1})


def test_without_a_quorum_nobody_knows(table, ring, tokens):
    table.write({"id": 1}, {"balance": 1}, token=tokens.stale)
    for node in ring.nodes[1:]:
        node.stall()

    with pytest.raises(WriteUnknown):
        table.write({"id": 1}, {"balance": 2}, token=tokens.fresh, timeout_seconds=4)
