"""Time that passes when a test says so."""

import threading

from locks.clock import Clock

BEGIN = 1_800_000_000.0    # a wall clock like any other; tests that need a wrong one set `offset`


class ManualClock(Clock):
    """Stand still until told. Whoever sleeps makes the time pass that they sleep for."""

    def __init__(self) -> None:
        self._now = 1_000.0
        self.offset = 0.0
        """How wrong the wall clock is."""
        self._guard = threading.Lock()

    def now(self) -> float:
        return self._now

    def wall(self) -> float:
        return BEGIN + self._now + self.offset

    def sleep(self, seconds: float) -> None:
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        with self._guard:
            self._now += max(0.0, seconds)
