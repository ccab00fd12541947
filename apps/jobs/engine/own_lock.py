"""The lock that stands for one start of a worker; its token goes onto each of its claims. Loop thread only."""

import math
import random
import time
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from apps.jobs.engine.locker import Busy, Granted, Locker, Lost, Untold, Wanted
from apps.jobs.locking import LEASE
from apps.jobs.transitions.presence import Start
from locks import Lease

if TYPE_CHECKING:
    from apps.jobs.engine.bookkeeper import Bookkeeper

AGAIN_SECONDS, LONGEST_SECONDS = 1.0, 30.0   # between two questions, while there is none
CLOSE = timedelta(seconds=1)

log = structlog.get_logger(__name__)


def _name(started: Start) -> str:
    return f"worker:{started.id}"


class OwnLock:
    """Asked for again until it is had. Meanwhile jobs run without it."""

    def __init__(self, book: "Bookkeeper", locker: Locker) -> None:
        self.book, self.locker = book, locker
        self._lease: Lease | None = None
        self._ask_at = math.inf
        self._tries = 0

    def start(self) -> None:
        """Ask for the lock of the worker's present start, if it shall have one."""
        started = self.book.ledger.started
        if self.book.config.guard == "worker" and started is not None and not self.book.draining:
            self.locker.acquire(Wanted(
                name=_name(started), lease=LEASE, on_busy="snooze", owner=started.name, claim=None,
            ))

    def take_away(self) -> Lease | None:
        """Put no token on claims any more; return the lease, if there was one."""
        lease, self._lease, self.book.ledger.guard_token = self._lease, None, None
        return lease

    def heard(self, news: Granted | Busy | Untold | Lost) -> Lease | None:
        """Take what became of a question, or of the lease; return a lease that nobody wants any more."""
        started = self.book.ledger.started
        present = started is not None and news.wanted.name == _name(started)
        if isinstance(news, Granted):
            if not present or self.book.draining:   # answers come in any order, and some after the worker's next start
                return news.lease
            self._lease, self._tries = news.lease, 0
            self.book.ledger.guard_token = news.lease.token
            return None
        if not present or (isinstance(news, Lost) and (self._lease is None or self._lease.token != news.token)):
            return None   # of an earlier start
        self.take_away()
        if not self._tries:
            log.warning("worker.without_lock", why=news.why, then="claims carry no token of it until it is had again")
        pause = min(LONGEST_SECONDS, AGAIN_SECONDS * 2.0 ** min(self._tries, 10))
        self._tries += 1
        self._ask_at = time.monotonic() + random.uniform(0.5, 1.5) * pause  # noqa: S311  spreads load
        return None

    def tick(self) -> None:
        """Ask again when it is time. By the worker's tick, as timers may be forgotten with the connection to the broker."""
        if time.monotonic() >= self._ask_at:
            self._ask_at = math.inf
            self.start()

    def close(self) -> None:
        """Give it back, so that the list of locks does not show a worker that is gone."""
        if self._lease is not None:
            self._lease.release(timeout=CLOSE)
