"""The threads of a worker that wait for the store of locks, so that its loop never does.

What becomes of a question is news: it lies in `news` until the loop thread takes it, which `tell` asks it to.
"""

import re
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from queue import SimpleQueue
from threading import Lock, Thread
from typing import TypeAlias

import structlog

from apps.jobs.locking import OnBusy
from apps.jobs.transitions.fetch import Claim
from locks import Lease, LockHeld, Locks, LockUnknown, NotGranted
from locks.reaper import Reaper

THREADS = 8
AWAY_SECONDS = 1.0   # after an unanswered question nobody waits for another answer
A_JOB = re.compile(r" job [0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A lock that is asked for; `claim` is None for the one that stands for the worker itself."""

    name: str
    lease: timedelta
    on_busy: OnBusy
    owner: str
    claim: Claim | None
    tries: int = 0
    """How often it was found busy since its claim."""


def owner_of(worker: str, job_id: str) -> str:
    """Return what others see of a job that has a lock."""
    return f"{worker} job {job_id}"


def is_a_job(owner: str) -> bool:
    """Return whether the owner of a lock is a job, of this worker or another."""
    return A_JOB.search(owner) is not None


@dataclass(frozen=True, slots=True)
class Granted:
    wanted: Wanted
    lease: Lease


@dataclass(frozen=True, slots=True)
class Busy:
    """Somebody else has it. It may be free in so many seconds, if its holder is dead."""

    wanted: Wanted
    why: str
    free_in_seconds: float
    by_job: bool = False


@dataclass(frozen=True, slots=True)
class Untold:
    """There is no lease, and why: the store is away, or did not say in time who has the lock."""

    wanted: Wanted
    why: str
    away: bool


@dataclass(frozen=True, slots=True)
class Lost:
    """A lease ended before it was released."""

    wanted: Wanted
    token: int
    why: str


@dataclass(frozen=True, slots=True)
class Released:
    """A lease was given back, or will end by itself; `key` is the line that waits for it, if one does."""

    key: str | None


News: TypeAlias = Granted | Busy | Untold | Lost | Released


class Locker:
    """Asks and gives back. The first question makes the threads, and the connections are theirs."""

    def __init__(self, open_locks: Callable[[], Locks]) -> None:
        self.news: deque[News] = deque()
        self.tell: Callable[[], None] = lambda: None
        self._open = open_locks
        self._locks: Locks | None = None
        self._opening = Lock()
        self._tasks: SimpleQueue[Callable[[], News | None]] = SimpleQueue()
        self._threads = 0
        self._away: tuple[float, str] = (0.0, "")   # until when, and what was said

    # The loop thread.

    def acquire(self, wanted: Wanted) -> None:
        self._do(lambda: self._acquire(wanted))

    def release(self, lease: Lease, *, key: str | None) -> None:
        self._do(lambda: self._release(lease, key))

    def nudge(self, wanted: Wanted) -> None:
        """Free the lock if its holder was not seen to renew it for a whole lease: whoever claims next finds it free.

        Each process has to see a holder for that long by itself, and the next claim may be anybody's.
        """
        self._do(lambda: self._nudge(wanted))

    def close(self) -> None:
        """Stop renewing. What is held then ends in the store by itself."""
        if self._locks is not None:
            self._locks.close()

    def _do(self, task: Callable[[], News | None]) -> None:
        self._tasks.put(task)
        if self._threads < THREADS:
            self._threads += 1
            Thread(target=self._run, daemon=True, name=f"locker-{self._threads}").start()

    # The threads.

    def _run(self) -> None:
        while True:
            task = self._tasks.get()
            try:
                news = task()
            except Exception:
                log.exception("locker.failed")   # a thread that ends would leave a worker that only seems to lock
                continue
            if news is not None:
                self._say(news)

    def _say(self, news: News) -> None:
        self.news.append(news)
        self.tell()

    def _opened(self) -> Locks:
        with self._opening:
            if self._locks is None:
                self._locks = self._open()
            return self._locks

    def _acquire(self, wanted: Wanted) -> News:
        until, why = self._away
        if time.monotonic() < until:
            return Untold(wanted, why, away=True)
        news = self._asked(wanted)
        if isinstance(news, Untold) and news.away:
            self._away = (time.monotonic() + AWAY_SECONDS, news.why)
        return news

    def _asked(self, wanted: Wanted) -> News:
        try:
            locks = self._opened()
            shortest = timedelta(seconds=locks.store.shortest_lease_seconds)   # a longer one only gives a dead holder more time
            lease = locks.try_acquire(
                wanted.name, lease=max(wanted.lease, shortest), owner=wanted.owner,
                on_lost=lambda lease, why: self._say(Lost(wanted, lease.token, why)),
            )
        except LockHeld as exc:
            return Busy(wanted, str(exc), exc.free_in_seconds, by_job=is_a_job(exc.owner))
        except LockUnknown as exc:
            return Untold(wanted, str(exc), away=False)
        except Exception as exc:  # noqa: BLE001  a wrong address or a missing table must end no other job
            if not isinstance(exc, NotGranted):
                log.warning("locks.broken", error=f"{type(exc).__name__}: {exc}".splitlines()[0])
            return Untold(wanted, str(exc) or type(exc).__name__, away=True)
        return Granted(wanted, lease)

    def _release(self, lease: Lease, key: str | None) -> News:
        try:
            lease.release()
        except Exception as exc:  # noqa: BLE001  as above; it ends after its time
            log.warning("lock.not_released", lock=lease.name, error=f"{type(exc).__name__}: {exc}".splitlines()[0])
        return Released(key)

    def _nudge(self, wanted: Wanted) -> None:
        """Free it where it stands: to acquire it for nobody would be in the way of whoever asks at that moment."""
        Reaper(self._opened()).visit(wanted.name)
