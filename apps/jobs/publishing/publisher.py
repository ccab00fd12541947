"""Rings in a thread of its own, so that no caller ever waits for a broker that is slow, silent or gone.

`ring()` notes the queue and returns. One thread rings what was noted; rings for one queue that come while it is busy,
or within `REST_SECONDS` of the last one, become one. What cannot ring is counted and forgotten: the dispatcher rings for rows that wait, and idle workers look.
After a fork the child starts with a publisher of its own, and at exit there are two seconds to ring what is left.
"""

import atexit
import os
import threading
import time
from collections.abc import Callable

import structlog
from celery import Celery
from celery._state import get_current_app

from apps.jobs import metrics
from apps.jobs.conf import config
from apps.jobs.publishing.bell import Bell

MOST_QUEUES = 1000
EXIT_SECONDS = 2.0
BROKEN_PAUSE_SECONDS = 0.5
REST_SECONDS = 0.005   # a burst of single jobs costs a ring each so often, not a ring and two thread switches each
FULL_SECONDS = 0.02    # the same where the line in the broker was full: whoever takes a ticket from it sees the row

log = structlog.get_logger(__name__)


class Publisher:
    """One process's thread for ringing, and what is noted for it."""

    def __init__(self, app: Celery) -> None:
        self.pid = os.getpid()
        self._due: dict[str, int] = {}
        self._resting: dict[str, float] = {}   # until when a queue that was just rung is not rung again
        self._changed = threading.Condition()
        self._busy = False
        self._bell = Bell(app)
        self._thread: threading.Thread | None = None

    def note(self, queue: str, count: int, *, at_once: bool = False) -> None:
        """Note that a queue has `count` more ready rows; `at_once`: whoever rings does so seldom, and for many."""
        with self._changed:
            if queue not in self._due and len(self._due) >= MOST_QUEUES:
                metrics.ring_failed("overflow")
                return
            self._due[queue] = min(config().tickets, self._due.get(queue, 0) + count)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)
                self._thread.start()
            if at_once:
                self._resting.pop(queue, None)
            if queue not in self._resting:   # else the thread looks again by itself, when the queue has rested
                self._changed.notify_all()

    def rests(self, queue: str) -> bool:
        """Return whether a ring for this queue would not go out at once.

        It takes no lock, and reads in the order in which the thread writes.
        """
        return queue in self._due or self._busy or self._resting.get(queue, 0.0) > time.monotonic()

    def flush(self, timeout: float) -> bool:
        """Wait until everything noted was tried; whether that came true in time."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._due and not self._busy, timeout)

    def _run(self) -> None:
        while True:
            with self._changed:
                due = self._next()
            rests = self._publish(due)
            broken, now = rests is None, time.monotonic()
            with self._changed:
                self._resting |= {queue: now + rest for queue, rest in (rests or dict.fromkeys(due, REST_SECONDS)).items()}
                self._busy = False
                self._changed.notify_all()
                if broken:   # a broker that is gone is not asked for each enqueue
                    self._changed.wait(BROKEN_PAUSE_SECONDS)

    def _next(self) -> dict[str, int]:
        """Wait for something to ring, and take it; call it with the lock."""
        while True:
            now = time.monotonic()
            self._resting = {queue: until for queue, until in self._resting.items() if until > now}
            due = {queue: count for queue, count in self._due.items() if queue not in self._resting}
            if due:
                self._busy = True   # in this order: see `rests`
                self._due = {queue: count for queue, count in self._due.items() if queue in self._resting}
                return due
            self._changed.wait(min(self._resting.values()) - now if self._resting else None)

    def _publish(self, due: dict[str, int]) -> dict[str, float] | None:
        """Ring, and return how long each queue then rests; None when the broker did not take it."""
        rests = {}
        try:
            for queue, count in due.items():
                put = self._bell.put(queue, count=count, most=config().tickets)
                rests[queue] = REST_SECONDS if put else FULL_SECONDS
                metrics.rang()
        except Exception as exc:  # noqa: BLE001  whatever a broker's client may raise: a ring must never harm anybody
            metrics.ring_failed("broker")
            log.warning("ring.failed", queues=sorted(due), error=f"{type(exc).__name__}: {exc}")
            self._bell.close()
            return None
        return rests


_publisher: Publisher | None = None
_lock = threading.Lock()


def _forget() -> None:
    """After a fork the thread is gone and the lock may be held: start with nothing."""
    global _publisher, _lock
    _publisher, _lock = None, threading.Lock()


os.register_at_fork(after_in_child=_forget)


def _current() -> Publisher:
    global _publisher  # noqa: PLW0603  one publisher a process
    with _lock:
        if _publisher is None:
            _publisher = Publisher(get_current_app())
            atexit.register(_at_exit(_publisher))
        return _publisher


def _at_exit(publisher: Publisher) -> Callable[[], None]:
    def flush_own() -> None:
        if publisher.pid == os.getpid():
            publisher.flush(EXIT_SECONDS)

    return flush_own


def ring(queue: str, *, count: int = 1, at_once: bool = False) -> None:
    """Ring for a queue without waiting: call it after the commit, else a worker may look before the row exists.

    Rings that follow each other closely become one, unless they are to go out `at_once`.
    """
    _current().note(queue, count, at_once=at_once)


def rests(queue: str) -> bool:
    """Return whether a ring for this queue would wait, because one has just gone out or the broker is slow."""
    return _publisher is not None and _publisher.rests(queue)


def flush(timeout_seconds: float = EXIT_SECONDS) -> bool:
    """Wait until all that was rung for was tried; False when that took longer."""
    return _publisher is None or _publisher.flush(timeout_seconds)
