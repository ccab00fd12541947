"""One stack for all cases, apart from the servers of the other tests, because it is killed."""

import os
from collections.abc import Iterator

import pytest

from tests.chaos.harness import Stack
from tests.support.session import folder

JOBS = 400


def size(name: str, default: int) -> int:
    """Return a number that the environment may raise; CHAOS_JOBS=2000 is the size of a full run."""
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
