"""An old token and a new one, as a lock gives them to a holder and to the one after it."""

from typing import NamedTuple

import pytest

from locks.locks import Locks
from locks.stores.memory import MemoryStore


class Tokens(NamedTuple):
    stale: int
    fresh: int


@pytest.fixture
def tokens():
    """The token of a holder that an operator has ousted, who does not know it yet, and of the one that came after."""
    locks = Locks(MemoryStore(), background=False)
    first = locks.acquire("payment:7")
    locks.force_release("payment:7", first.token, reason="stuck", by="ann")
    first.check()    # as far as it knows
    return Tokens(first.token, locks.acquire("payment:7").token)
