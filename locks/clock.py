"""The clocks of a lock: one that measures, and one that only helps to guess."""

import functools
import time

# `time.monotonic` stands still during suspend on Linux, so that a thawed holder would believe in its lease
_now = functools.partial(time.clock_gettime, time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic


class Clock:
    """Read this machine's clocks. Tests hand in one of their own, and so make a lease pass in no time."""

    def now(self) -> float:
        """Return seconds on a clock that nobody sets and that goes on while the machine sleeps; only differences count."""
        return _now()

    def wall(self) -> float:
        """Return this machine's wall clock: for guesses of tokens and for people. If it is wrong, nothing else is."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)
