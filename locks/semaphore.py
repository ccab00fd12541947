"""N permits under one name."""

import random
from datetime import timedelta

from locks.errors import LockHeld
from locks.lease import Lease
from locks.locks import LEASE, POLL_SECONDS, TIMEOUT, Locks


class Semaphore:
    """Let at most `permits` hold it at a time: each permit is a lock of its own, `name#0` and so on.

    The token is that of the permit: what it protects has to be fenced per permit (`lease.name` tells which one it is).
    """

    def __init__(self, locks: Locks, name: str, *, permits: int) -> None:
        if permits < 1:
            raise ValueError(f"a semaphore has at least one permit, not {permits}")
        self._locks, self.name, self.permits = locks, name, permits

    def acquire(self, *, lease: timedelta = LEASE, timeout: timedelta = TIMEOUT) -> Lease:
        """Return a permit, or raise as `Locks.acquire` does. LockHeld then speaks of the last permit that was tried."""
        clock = self._locks.means.clock
        until = clock.now() + timeout.total_seconds()
        # each begins elsewhere, so that with free permits the first question is mostly the only one
        start = random.randrange(self.permits)   # noqa: S311  spreads load, keeps no secret
        look = False
        while True:
            refused: LockHeld | None = None
            for offset in range(self.permits):
                try:
                    return self._try(f"{self.name}#{(start + offset) % self.permits}", lease, until, look=look)
                except LockHeld as exc:
                    refused = exc
                look = True    # from now on ask only for what looks free
            pause = random.uniform(0.05, POLL_SECONDS)   # noqa: S311  as above
            if clock.now() + pause >= until and refused is not None:
                raise refused
            clock.sleep(pause)

    def _try(self, name: str, lease: timedelta, until: float, *, look: bool) -> Lease:
        left = timedelta(seconds=max(self._locks.store.attempt_seconds / 10, until - self._locks.means.clock.now()))
        if look:
            self._locks.expect_free(name, timeout=left)
        return self._locks.try_acquire(name, lease=lease, timeout=left)
