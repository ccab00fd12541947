"""Keep leases alive, and report their end in time even if the store hangs."""

import functools
import heapq
import itertools
import logging
import math
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from locks.background import Background
from locks.clock import Clock
from locks.crew import Crew
from locks.forking import remember_to_forget

logger = logging.getLogger("locks")
CREW = 32   # renewals that wait for the store at the same time


class Kept(Protocol):
    """What the keeper needs to know of a lease."""

    @property
    def deadline(self) -> float: ...
    @property
    def danger_at(self) -> float: ...
    @property
    def renew_at(self) -> float: ...
    @property
    def is_over(self) -> bool: ...
    def try_renewal(self) -> None:
        """Make one attempt; the lease ends itself when the store refuses."""
    def endanger(self) -> None: ...
    def expire(self) -> None: ...
    def abandon(self) -> None: ...


@dataclass(slots=True)
class Watch:
    """What the keeper remembers of one lease."""

    lease: Kept
    try_at: float
    trying: bool = False
    warned_of: float = 0.0
    due: float = math.inf
    """When it is looked at next: the earliest that anybody asked for; later entries of the heap are stale."""


class Keeper:
    """Renew each lease at a third of it, warn at two thirds, and end it at its deadline.

    One thread keeps the times and never waits for a store; renewals wait on threads of their own. So a store that hangs
    delays no deadline, not even of other leases.
    """

    def __init__(self, clock: Clock, *, threads: bool = True) -> None:
        self._clock, self._threads = clock, threads
        self._background = Background("locks-keeper", self.run_once)
        self._crew = Crew("locks-renewal", most=CREW)
        self._order = itertools.count()
        self._closed = False
        self.forget()
        remember_to_forget(self)

    def forget(self) -> None:
        """Leave the leases to the parent, who goes on renewing them."""
        self._guard = threading.Lock()
        self._heap: list[tuple[float, int, Watch]] = []
        self._background.forget()
        self._crew.forget()

    def keep(self, lease: Kept) -> None:
        self._push(Watch(lease, lease.renew_at), min(lease.renew_at, lease.deadline))

    def close(self) -> None:
        """Renew nothing any more; each lease ends for its holder now, and in the store by itself."""
        with self._guard:
            self._closed = True
            watches, self._heap = {id(watch): watch for _, _, watch in self._heap}, []
        for watch in watches.values():
            watch.lease.abandon()

    def call(self, task: Callable[[], None]) -> None:
        """Run what a holder wants to be told by, where it holds up nobody else."""
        if self._threads:
            threading.Thread(target=self._safely, args=(task,), name="locks-told", daemon=True).start()
        else:
            self._safely(task)

    def run_once(self) -> float | None:
        """Do what is due now; return the seconds until the next is."""
        while (watch := self._pop()) is not None:
            again = self._tick(watch)
            if again is not None:
                self._push(watch, again, wake=False)
        with self._guard:
            return max(0.0, self._heap[0][0] - self._clock.now()) if self._heap else None

    def _tick(self, watch: Watch) -> float | None:
        lease, now = watch.lease, self._clock.now()
        if lease.is_over:
            return None
        if now >= lease.deadline:
            lease.expire()
            return None
        if now >= lease.danger_at and watch.warned_of != lease.danger_at:
            watch.warned_of = lease.danger_at
            lease.endanger()
        if not watch.trying and now >= watch.try_at:
            watch.trying = True
            self._start(functools.partial(self._renew, watch))
        moments = [lease.deadline]
        if watch.warned_of != lease.danger_at:
            moments.append(lease.danger_at)
        if not watch.trying:
            moments.append(watch.try_at)
        return min(moments)

    def _renew(self, watch: Watch) -> None:
        before = watch.lease.renew_at
        self._safely(watch.lease.try_renewal)
        after = watch.lease.renew_at
        # not renewed: again soon, at the next replica; others may be doing the same, so not all at once
        watch.try_at = after if after > before else self._clock.now() + random.uniform(0.05, 0.25)   # noqa: S311  no secret
        watch.trying = False
        self._push(watch, self._clock.now())

    def _start(self, task: Callable[[], None]) -> None:
        if self._threads:
            self._crew.run(task)
        else:
            task()

    def _safely(self, task: Callable[[], None]) -> None:
        try:
            task()
        except Exception:
            logger.exception("locks.keeper.failed")

    def _push(self, watch: Watch, when: float, *, wake: bool = True) -> None:
        with self._guard:
            closed = self._closed
            if not closed:
                if when >= watch.due:
                    return
                watch.due = when
                heapq.heappush(self._heap, (when, next(self._order), watch))
                wake = wake and self._heap[0][2] is watch    # behind another nothing changes: it is come to after that one
        if closed:
            watch.lease.abandon()
        elif wake and self._threads:
            self._background.wake()

    def _pop(self) -> Watch | None:
        with self._guard:
            # what was released is let go of as soon as it comes up: most leases end long before anything is due for them
            while self._heap and (self._heap[0][2].lease.is_over or self._heap[0][0] <= self._clock.now()):
                when, _, watch = heapq.heappop(self._heap)
                if when == watch.due:
                    watch.due = math.inf
                    return watch
            return None
