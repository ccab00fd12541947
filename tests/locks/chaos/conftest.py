"""A ring of its own for each kind of Paxos: it is treated worse than that of the other tests."""

from collections.abc import Callable, Iterator

import pytest

from tests.support.cassandra.fixtures import close_connections, started
from tests.support.cassandra.hurt import HurtRing
from tests.support.session import folder


@pytest.fixture(scope="package")
def rings() -> Iterator[Callable[[str], HurtRing]]:
    """Return the ring that runs this Paxos; one runs at a time."""
    with folder() as data_dir:
        running: dict[str, HurtRing] = {}

        def get(paxos: str) -> HurtRing:
            if paxos not in running:
                close_connections()
                for other in list(running):
                    running.pop(other).kill()
                running[paxos] = started(data_dir / paxos, paxos=paxos)
            return running[paxos]

        try:
            yield get
        finally:
            close_connections()
            for ring in running.values():
                ring.kill()
