"""To change something from a terminal."""

from collections.abc import Iterator
from contextlib import contextmanager

from core import audit, read_only


@contextmanager
def operating() -> Iterator[None]:
    """Let what happens inside be of whoever typed the command; raise `ReadOnly` while nothing may be changed."""
    read_only.refuse()
    with audit.acting(audit.at_terminal()):
        yield
