"""The clocks that Python itself may read. Moments that rows are compared by come from the database."""

import time
from datetime import UTC, datetime


def now() -> datetime:
    """Return this machine's wall clock in UTC, for display and for file names, never for a decision about a row."""
    return datetime.now(UTC)


def elapsed() -> float:
    """Return seconds on a clock that nobody sets and that goes on while the machine sleeps.

    `time.monotonic` stands still during suspend on Linux, so that a thawed worker would believe in its lease.
    """
    return time.clock_gettime(time.CLOCK_BOOTTIME)
