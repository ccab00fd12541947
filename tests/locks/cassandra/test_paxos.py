"""What a cluster's Paxos promises, and at which level changes are committed therefore: on three real nodes."""

import uuid
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from itertools import count

import pytest
from cassandra import ConsistencyLevel

from locks import changes
from locks.answers import Applied
from locks.errors import NoAnswer
from locks.lease import Ending
from locks.locks import Locks
from locks.row import State, Version
from locks.stores.cassandra import CassandraStore
from locks.stores.cassandra.paxos import Paxos, agreed
from locks.stores.cassandra.statements import CHANGES
from tests.support.cassandra import tables
from tests.support.waiting import until

SECONDS = 5.0
FOUND = {"Create": "ONE", "Release": "ONE", "Renew": "ONE"}
KEPT = {"Create": "ONE", "Release": "ANY", "Renew": "ANY", "Acquire": "ONE", "AcquireExact": "ONE"}
V2 = {"paxos_variant": "v2", "paxos_state_purging": "legacy"}
REPAIRED = {**V2, "paxos_state_purging": "repaired"}
V1 = {"paxos_variant": "v1", "paxos_state_purging": "repaired"}
SETTINGS = "locks.stores.cassandra.paxos.SETTINGS"
SAID = "CREATE TABLE IF NOT EXISTS {keyspace}.said (who uuid, name text, value text, PRIMARY KEY (who, name))"


@pytest.fixture
def store(ring):
    made = CassandraStore(ring.direct, namespace=f"paxos-{uuid.uuid4().hex}")
    yield made
    made.close()


def levels_of(store):
    """Return the changes that do not wait for a quorum of tables, and what they wait for."""
    store.connection.session(SECONDS)
    levels = {kind.__name__: store.connection._prepared[kind].consistency_level for kind in CHANGES}
    return {kind: ConsistencyLevel.value_to_name[level] for kind, level in levels.items() if level is not None}


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
    (REPAIRED, KEPT),
    ({**REPAIRED, "paxos_repair_enabled": "true", "skip_paxos_repair_on_topology_change": "false"}, KEPT),
    ({**REPAIRED, "paxos_repair_enabled": "false"}, FOUND),
    ({**REPAIRED, "skip_paxos_repair_on_topology_change": "true"}, FOUND),
    ({**REPAIRED, "skip_paxos_repair_on_topology_change_keyspaces": "[locks]"}, FOUND),
    (V2, FOUND),
    ({**V2, "paxos_state_purging": "gc_grace"}, FOUND),
    ({"paxos_variant": "v2"}, FOUND),
    (V1, {}),
    ({**REPAIRED, "paxos_variant": "v2_without_linearizable_reads"}, {}),
    ({}, {}),
])
def test_changes_wait_for_what_the_settings_ask_for(store, said, monkeypatch, settings, expected):
    monkeypatch.setattr(SETTINGS, said(settings))

    assert expected == levels_of(store)


def test_where_settings_cannot_be_read_everything_waits_for_a_quorum(store, monkeypatch):
    monkeypatch.setattr(SETTINGS, "SELECT name, value FROM system_views.no_such_table")

    assert levels_of(store) == {}


@pytest.mark.parametrize("hurt", ["stall", "kill"])
def test_while_a_node_says_nothing_grants_wait_for_a_quorum(ring, store, hurt):
    """It may be one that forgets decisions; that it runs the same Paxos as the others is for the check of the cluster."""
    getattr(ring.nodes[2], hurt)()

    assert levels_of(store) == FOUND


@pytest.mark.parametrize(("told", "expected"), [
    ([REPAIRED, REPAIRED, REPAIRED], Paxos.KEPT),
    ([REPAIRED, V2, REPAIRED], Paxos.V2),
    ([REPAIRED, REPAIRED, V1], Paxos.V1),
    ([REPAIRED, REPAIRED, {}], Paxos.V1),
    ([None, REPAIRED, REPAIRED], Paxos.V2),
    ([None, V2, V1], Paxos.V1),
    ([None, None, None], Paxos.V1),
    ([], Paxos.V1),
])
def test_the_least_that_a_node_promises_is_what_all_promise(told, expected):
    assert expected == agreed(told)


@pytest.mark.parametrize(("paxos", "expected"), [("v2", KEPT), ("v1", {})])
def test_of_real_nodes_it_is_as_they_run(paxos_rings, paxos, expected):
    locks = Locks(CassandraStore(paxos_rings(paxos).direct, namespace=f"paxos-{uuid.uuid4().hex}"), background=False)
    try:
        locks.acquire("x").release()

        assert expected == levels_of(locks.store)
    finally:
        locks.close()


@pytest.mark.parametrize("gone", ["kill", "stall"])
def test_what_was_answered_is_true_although_its_node_is_gone_and_another_has_slept_meanwhile(ring, store, gone):
    """A grant is answered when one node has it, a release when none has; two of three have decided, and one of them goes."""
    locks, other = Locks(store, background=False), CassandraStore(ring.direct, namespace=store.namespace)
    try:
        locks.acquire("x").release()
        first, second, third = ring.in_order(store, "x")
        third.stall()
        lease = locks.acquire("x", lease=timedelta(seconds=60))
        getattr(first, gone)()
        third.resume()
        held = asked(other, "x")
        first.resume() if gone == "stall" else first.start().wait_ready()
        asked(store, "x")
        second.stall()
        ending = lease.release()
        getattr(first, gone)()
        second.resume()
        free = asked(other, "x")

        assert (State.HELD, lease.token, lease.nonce) == (held.state, held.fence, held.nonce)
        assert (Ending.RELEASED, State.FREE, lease.token) == (ending, free.state, free.fence)
    finally:
        ring.heal()
        other.close()
        locks.close()


def asked(store, name):
    """Read a row through Paxos, whoever has to be asked for it."""
    tries = count()

    def read():
        with suppress(NoAnswer):
            return store.read(name, number=next(tries), timeout_seconds=SECONDS)

    return until(read, timeout=60)


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
        levels = [local.connection._prepared[kind].consistency_level for kind in (changes.Acquire, changes.Release, changes.ForceRelease)]

        assert [ConsistencyLevel.LOCAL_ONE, ConsistencyLevel.ANY, None] == levels    # None: as the profile says, at a quorum
    finally:
        local.close()
