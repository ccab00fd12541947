"""Fixtures: three nodes for the tests of one package, or none, named at the end as absent."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.devserver.cassandra.programs import Missing, Programs, programs
from locks import forking
from locks.stores.cassandra.answers import NotConnected
from locks.stores.cassandra.connection import Connection
from tests.support import components
from tests.support.cassandra.hurt import HurtRing
from tests.support.session import folder

STARTING_SECONDS = 420


def patient(items: list[pytest.Item], fixture: str) -> None:
    """Give tests that use nodes the time to start them, and once on a machine to fetch their jars."""
    for item in items:
        if fixture in getattr(item, "fixturenames", ()) and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(STARTING_SECONDS))


def found() -> Programs:
    """Return what nodes are started with, or skip the test that asks."""
    try:
        return programs()
    except Missing as exc:
        components.absent("Cassandra", because=str(exc))


def close_connections() -> None:
    """End sessions that threads of the library have opened anew behind a test, and let none be opened: their nodes go now."""
    for each in list(forking._all):
        if isinstance(each, Connection):
            each._connected = _gone
            each.close()


def _gone(timeout_seconds: float) -> None:
    raise NotConnected("the nodes of the tests are gone")


def started(data_dir: Path, *, paxos: str = "v2") -> HurtRing:
    """Start a ring that can be hurt, or skip the test that asks."""
    try:
        ring = HurtRing(data_dir=data_dir, programs=found(), paxos=paxos)
    except Missing as exc:   # a Java without a compiler
        components.absent("Cassandra", because=str(exc))
    return ring.start()


@pytest.fixture(scope="package")
def shared_ring() -> Iterator[HurtRing]:
    with folder() as data_dir:
        ring = started(data_dir)
        try:
            yield ring
        finally:
            close_connections()
            ring.kill()


@pytest.fixture
def ring(shared_ring: HurtRing) -> Iterator[HurtRing]:
    """Three nodes, healed before the next test sees them, whatever this one did."""
    yield shared_ring
    if any(not node.running or node.frozen for node in shared_ring.nodes) or any(any(each.cells) for each in shared_ring.faults):
        shared_ring.heal()
