"""Fixtures: three nodes for the whole session, or none, named at the end as absent. Tests that use them come last, together."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from core.devserver.cassandra.programs import Missing, Programs, programs
from tests.support import components
from tests.support.cassandra.hurt import HurtRing
from tests.support.session import folder

STARTING_SECONDS = 420


def in_order(items: list[pytest.Item]) -> None:
    """Let one ring live no longer than it is needed: first who needs none, then who uses that of v2, then that of v1.

    Who may be the first to start it gets the time for that, and once on a machine to fetch its jars.
    """
    for item in items:
        if _turn(item) and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(STARTING_SECONDS))
    items.sort(key=_turn)


def _turn(item: pytest.Item) -> int:
    if "paxos_rings" not in getattr(item, "fixturenames", ()):
        return 0
    return 2 if getattr(item, "callspec", None) is not None and item.callspec.params.get("paxos") == "v1" else 1  # type: ignore[attr-defined]  # of functions


def found() -> Programs:
    """Return what nodes are started with, or skip the test that asks."""
    try:
        return programs()
    except Missing as exc:
        components.absent("Cassandra", because=str(exc))


def close_connections() -> None:
    """End sessions that threads of the library have opened anew behind a test, and let none be opened: their nodes go now."""
    from locks import forking  # the driver is of no use to tests without nodes
    from locks.stores.cassandra.connection import Connection

    for each in list(forking._all):
        if isinstance(each, Connection):
            each._connected = _gone
            each.close()


def _gone(timeout_seconds: float) -> Any:
    from locks.stores.cassandra.answers import NotConnected

    raise NotConnected("the nodes of the tests are gone")


def started(data_dir: Path, *, paxos: str = "v2") -> HurtRing:
    """Start a ring that can be hurt, or skip the test that asks."""
    try:
        ring = HurtRing(data_dir=data_dir, programs=found(), paxos=paxos)
    except Missing as exc:   # a Java without a compiler
        components.absent("Cassandra", because=str(exc))
    return ring.start()


@pytest.fixture(scope="session")
def paxos_rings() -> Iterator[Callable[[str], HurtRing]]:
    """Return the ring that runs this Paxos; one runs at a time, from the first test that asks for it."""
    with folder() as data_dir:
        running: dict[str, HurtRing] = {}

        def end() -> None:
            close_connections()
            while running:
                running.popitem()[1].kill()

        def get(paxos: str) -> HurtRing:
            if paxos not in running:
                end()
                running[paxos] = started(data_dir / paxos, paxos=paxos)
            return running[paxos]

        try:
            yield get
        finally:
            end()


@pytest.fixture(scope="session")
def shared_ring(paxos_rings: Callable[[str], HurtRing]) -> HurtRing:
    """Three nodes that run Paxos v2. Whoever hurts them asks for `ring` instead."""
    return paxos_rings("v2")


@pytest.fixture
def ring(shared_ring: HurtRing) -> Iterator[HurtRing]:
    """Three nodes, healed before the next test sees them, whatever this one did."""
    yield shared_ring
    if any(not node.running or node.frozen for node in shared_ring.nodes) or any(any(each.cells) for each in shared_ring.faults):
        shared_ring.heal()
