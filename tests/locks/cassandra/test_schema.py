"""Making the tables on a real cluster, and looking at it before it is used."""

import re
from dataclasses import replace

import pytest
from cassandra import AuthenticationFailed
from cassandra.cluster import NoHostAvailable

from locks.stores.cassandra import checks, schema
from locks.stores.cassandra.checks import Weight
from locks.stores.cassandra.connection import cluster
from tests.support.waiting import until


def tables(ring, keyspace):
    with ring.ring.pinned() as sessions:
        return [
            {row.table_name for row in session.execute(f"SELECT table_name FROM system_schema.tables WHERE keyspace_name = '{keyspace}'")}
            for session in sessions
        ]


def test_the_tables_are_on_every_node_and_making_them_again_changes_nothing(ring):
    address = replace(ring.direct, keyspace="made_twice")
    for _ in range(2):
        schema.apply(address)

    expected = {"locks", "lock_namespaces", "lock_names", "lock_events", "lock_events_by_month", "lock_event_months"}
    assert [expected] * 3 == tables(ring, "made_twice")


def test_a_cluster_that_is_away_is_named_when_the_time_is_over():
    nobody = schema.Address(hosts=("127.0.0.1",), port=1, keyspace="locks")

    with pytest.raises(schema.SchemaNotApplied, match="connecting"):
        schema.apply(nobody, wait_seconds=0.5)


def test_a_cluster_that_is_only_starting_is_waited_for(ring, monkeypatch):
    address, tries = replace(ring.direct, keyspace="waited_for"), []
    nobody = replace(address, hosts=("127.0.0.1",), port=1)

    def comes_later(asked, used):
        tries.append(asked)
        return cluster(asked if len(tries) > 2 else nobody, used)

    monkeypatch.setattr(schema, "cluster", comes_later)
    schema.apply(address)

    assert (3, True) == (len(tries), all("locks" in each for each in tables(ring, "waited_for")))


def test_a_wrong_password_is_not_waited_for(monkeypatch):
    def refused():
        raise NoHostAvailable("", {"a": AuthenticationFailed("bad credentials")})

    monkeypatch.setattr(schema, "_connected", lambda _: refused())

    with pytest.raises(schema.SchemaNotApplied, match="connecting: a: bad credentials"):
        schema.apply(schema.Address(hosts=("a",), keyspace="locks"), wait_seconds=3600)


def test_a_good_cluster_has_no_finding(ring):
    assert [] == checks.findings(checks.facts(ring.direct), ring.direct)


def test_a_keyspace_without_tables_is_wrong(ring):
    address = replace(ring.direct, keyspace="nothing_here")

    assert [Weight.WRONG] == [finding.weight for finding in checks.findings(checks.facts(address), address)]


def test_a_clock_that_is_off_and_few_replicas_are_found(ring):
    address = replace(ring.direct, keyspace="thin")
    schema.apply(address, factors=1)
    ring.clocks[1].set(20)
    try:
        found = until(lambda: two(checks.findings(checks.facts(address), address)), message="the clock was never seen")
    finally:
        ring.clocks[1].set(0)

    assert [Weight.RISK, Weight.COST] == [finding.weight for finding in found]   # these nodes do not judge messages by clocks
    apart = float(re.search(r"([\d.]+) s apart", found[1].what)[1])
    assert ("1 replica," in found[0].what, abs(apart - 20) < 2) == (True, True)


def two(found):
    """Return the findings when both are there: a clock that is set is read a moment later."""
    return found if len(found) == 2 else None


def test_a_frozen_node_is_named(ring):
    known = checks.facts(ring.direct)
    ring.nodes[2].stall()
    seen = checks.facts(ring.direct)

    assert ((), 1) == (known.silent, len(seen.silent))
