"""One stack for all cases, apart from the servers of the other tests, because it is killed.

The ordinary run is small. A full one, on a machine that does nothing else, its bounds without slack:

    CHAOS_JOBS=2000 CHAOS_AWAY_SECONDS=10 CHAOS_KILLS=500 CHAOS_STORM_SECONDS=40 CHAOS_STRICT=true pytest -s -m chaos

and once more with CHAOS_POOL=threads, for all but what only processes can suffer.
"""

import os
from collections.abc import Iterator

import pytest

from tests.chaos.harness import POOL, Stack
from tests.support.session import folder

JOBS = 400
of_processes = pytest.mark.skipif(POOL != "prefork", reason="it is processes that are killed one by one; test_threads.py has the like")


def size(name: str, default: int) -> int:
    """Return a number that the environment may raise."""
    return int(os.environ.get(name, default))


@pytest.fixture(scope="session")
def shared_stack() -> Iterator[Stack]:
    with folder() as data_dir:
        stack = Stack(data_dir, jobs=size("CHAOS_JOBS", JOBS))
        try:
            stack.start()
            yield stack
        finally:
            stack.close()


@pytest.fixture
def stack(shared_stack: Stack) -> Stack:
    return shared_stack
