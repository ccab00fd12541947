"""What a cluster's Paxos promises, and at which level changes are committed therefore: on three real nodes."""

import uuid
from dataclasses import replace
from datetime import timedelta

import pytest
from cassandra import ConsistencyLevel

from locks import changes
from locks.answers import Applied
from locks.locks import Locks
from locks.row import State, Version
from locks.stores.cassandra import CassandraStore
from locks.stores.cassandra.statements import CHANGES
from tests.support.cassandra import tables

SECONDS = 5.0
FOUND = {"Create", "Release", "Renew"}
KEPT = FOUND | {"Acquire", "AcquireExact"}
SETTINGS = "locks.stores.cassandra.paxos.SETTINGS"
SAID = "CREATE TABLE IF NOT EXISTS {keyspace}.said (who uuid, name text, value text, PRIMARY KEY (who, name))"


@pytest.fixture
def store(ring):
    made = CassandraStore(ring.direct, namespace=f"paxos-{uuid.uuid4().hex}")
    yield made
    made.close()


def at_one_in(store):
    """Return the changes that are committed at ONE; the others are as the profile says, at a quorum."""
    store.connection.session(SECONDS)
    return {kind.__name__ for kind in CHANGES if store.connection._prepared[kind].consistency_level == ConsistencyLevel.ONE}


@pytest.fixture(scope="module")
def said(shared_ring):
    """Return what makes a statement to which the nodes answer these settings."""
    tables.make(shared_ring, SAID)
    keyspace = shared_ring.direct.keyspace
    plain = CassandraStore(shared_ring.direct)
    session = plain.connection.session(SECONDS)

    def asked(settings):
        who = uuid.uuid4()
        for name, value in settings.items():
            session.execute(f"INSERT INTO {keyspace}.said (who, name, value) VALUES (%s, %s, %s)", (who, name, value))
        return f"SELECT name, value FROM {keyspace}.said WHERE who = {who}"

    yield asked
    plain.close()


@pytest.mark.parametrize(("settings", "expected"), [
    ({"paxos_variant": "v2", "paxos_state_purging": "repaired"}, KEPT),
    ({"paxos_variant": "v2", "paxos_state_purging": "legacy"}, FOUND),
    ({"paxos_variant": "v2", "paxos_state_purging": "gc_grace"}, FOUND),
    ({"paxos_variant": "v2"}, FOUND),
    ({"paxos_variant": "v1", "paxos_state_purging": "repaired"}, set()),
    ({"paxos_variant": "v2_without_linearizable_reads", "paxos_state_purging": "repaired"}, set()),
    ({}, set()),
])
def test_at_one_is_committed_what_the_settings_allow(store, said, monkeypatch, settings, expected):
    monkeypatch.setattr(SETTINGS, said(settings))

    assert expected == at_one_in(store)


def test_where_settings_cannot_be_read_all_is_committed_at_a_quorum(store, monkeypatch):
    monkeypatch.setattr(SETTINGS, "SELECT name, value FROM system_views.no_such_table")

    assert set() == at_one_in(store)


@pytest.mark.parametrize("hurt", ["stall", "kill"])
def test_while_a_node_says_nothing_grants_are_committed_at_a_quorum(ring, store, hurt):
    """It may be one that forgets decisions; that it runs the same Paxos as the others is for the check of the cluster."""
    getattr(ring.nodes[2], hurt)()

    assert at_one_in(store) == FOUND


@pytest.mark.parametrize(("paxos", "expected"), [("v2", KEPT), ("v1", set())])
def test_of_real_nodes_it_is_as_they_run(paxos_rings, paxos, expected):
    store = CassandraStore(paxos_rings(paxos).direct, namespace=f"paxos-{uuid.uuid4().hex}")
    try:
        assert expected == at_one_in(store)
    finally:
        store.close()


def test_whoever_asks_through_paxos_sees_at_once_what_one_node_has(ring, store):
    """By whatever node it asks: each change here is decided through another node than the one before."""
    locks, other = Locks(store, background=False), CassandraStore(ring.direct, namespace=store.namespace)
    try:
        seen, expected = [], []
        for turn in range(20):
            lease = locks.acquire(name := f"lock {turn % 2}", lease=timedelta(seconds=30))
            lease.renew()
            row = other.read(name, number=turn, timeout_seconds=SECONDS)
            lease.release()
            seen.append((row.state, row.fence, row.hb, other.read(name, number=turn + 1, timeout_seconds=SECONDS).state))
            expected.append((State.HELD, lease.token, 1, State.FREE))
        made = []
        for number in range(10):
            create = changes.Create(name=f"new {number}", nonce=uuid.uuid4(), owner="test")
            store.attempt(create, number=0, timeout_seconds=SECONDS)
            grant = changes.AcquireExact(
                name=create.name, fence=7, nonce=uuid.uuid4(), owner="test", lease_ms=6000, since_ms=1,
                seen=Version(State.NEW, 0, 0, create.nonce),
            )
            made.append(other.attempt(grant, number=1 + number % 2, timeout_seconds=SECONDS))

        assert (expected, [Applied()] * 10) == (seen, made)
    finally:
        other.close()
        locks.close()


def test_what_is_decided_within_one_data_centre_is_committed_there(ring):
    local = CassandraStore(replace(ring.direct, local=True), namespace=f"paxos-{uuid.uuid4().hex}")
    try:
        local.connection.session(SECONDS)
        levels = [local.connection._prepared[kind].consistency_level for kind in (changes.Acquire, changes.ForceRelease)]

        assert [ConsistencyLevel.LOCAL_ONE, None] == levels    # None: as the profile says, at a quorum
    finally:
        local.close()
