"""One leader among many candidates; its term is the lock's token."""

import functools
import logging
import threading
from collections.abc import Callable
from datetime import timedelta

from locks.background import Background
from locks.errors import LockError, LockLost, NotGranted
from locks.lease import Lease
from locks.locks import LEASE, Locks

logger = logging.getLogger("locks")
RETRY_SECONDS = 1.0


class NotLeader(LockError):
    """No term of this process runs now; ask again later."""

    def __init__(self, name: str) -> None:
        super().__init__(name, f"this process is not the leader of {name!r}")


class Leadership:
    """Stand for election until stopped. Stamp every order with `term()`, and have those who obey refuse lower terms.

    `on_elected(term)` and `on_deposed(term)` are called on background threads, `on_deposed` before the lease ends.
    """

    def __init__(
        self, locks: Locks, name: str, *, lease: timedelta = LEASE, on_elected: Callable[[int], None] | None = None,
        on_deposed: Callable[[int], None] | None = None,
    ) -> None:
        self._locks, self.name, self._duration = locks, name, lease
        self._on_elected, self._on_deposed = on_elected, on_deposed
        self._lease: Lease | None = None
        self._stopped = False
        self._guard = threading.Lock()
        self._background = Background("locks-leadership", self._round)

    def start(self) -> None:
        self._stopped = False
        self._background.wake()

    def stop(self) -> None:
        """Step down and stand no more; whoever waits is elected at its next look."""
        with self._guard:
            self._stopped = True
            lease, self._lease = self._lease, None
        if lease is not None:
            lease.release()

    def term(self) -> int:
        """Return the token of the current term; raise NotLeader when this process does not lead for certain."""
        lease = self._lease
        if lease is None:
            raise NotLeader(self.name)
        try:
            lease.check()
        except LockLost as exc:
            raise NotLeader(self.name) from exc
        return lease.token

    def run_once(self) -> None:
        """Ask once whether this process can lead, unless it does."""
        if self._lease is not None:
            return
        try:
            lease = self._locks.acquire(
                self.name, lease=self._duration, timeout=self._duration / 3, on_lost=self._deposed,
            )
        except NotGranted as exc:
            logger.debug("locks.leadership.not_elected name=%s why=%s", self.name, exc)
            return
        with self._guard:
            if not self._stopped and not lease.is_over:
                self._lease = lease
                elected = True
            else:
                elected = False
        if not elected:
            lease.release()
        elif self._on_elected is not None:
            self._locks.keeper.call(functools.partial(self._on_elected, lease.token))

    def _deposed(self, lease: Lease, _: str) -> None:
        with self._guard:
            if self._lease is lease:
                self._lease = None
        if self._on_deposed is not None:
            self._on_deposed(lease.token)

    def _round(self) -> float | None:
        if self._stopped or self._locks.closed:
            return None
        self.run_once()
        return RETRY_SECONDS
