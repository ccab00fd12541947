"""The dispatcher: ended leases, due rows, queues that nobody drains, keys of locks that have no head.

What one duty asks travels in one pipeline, which is one transaction: a look at an idle database costs a round trip or
two, and a duty that fails undoes no other. Between looks it listens: a job that is due before the next look announces itself when it is stored.
"""

import json
import os
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import psycopg
import structlog
from psycopg import errors as pg

from apps.jobs import metrics, publishing
from apps.jobs.conf import config
from apps.jobs.lifecycle import Status
from apps.jobs.scheduling import chores
from apps.jobs.scheduling.hold import RescueHold
from apps.jobs.transitions import connection as connecting
from apps.jobs.transitions import due, heads, presence, rescue
from apps.jobs.transitions.statement import Cursor, Params, Reply

LOST = json.dumps({
    "class": "WorkerLost", "message": "the worker that ran this attempt was killed, or fell silent for a whole lease", "traceback": "",
})
PLANNER = "-c enable_seqscan=off -c enable_bitmapscan=off -c jit=off"   # a fresh table has no statistics; all is look-ups
SHORTEST_BACK_OFF, LONGEST_BACK_OFF = 0.1, 2.0
SLICE = 0.1    # of a pause: how soon a thread hears that it shall stop
EARLY = 0.05   # what is nearly due is done in this look, so that all duties share their looks
RACE = 0.02    # a row that became due between two statements of one look is not held by anybody
HAIR = 0.0003
# So long before its moment a row is moved, rung for and claimed. The worker that claims it holds it back until then.
LEAD = 0.03
PACE = 0.008   # between looks that move something: what comes due meanwhile is early enough, and a look with its fetches costs more than the job
# Times as long as the look took. Where a transaction holds back vacuum, a look reads every row that has left since.
RESCUE_REST, NEGLECTED_REST, SWEEP_REST = 4, 20, 4
SHORTEST_REST = 1.0
CHORES_REST = 3   # chores that begin a hold (longer than a third of a lease) do not come again before it is over
BOUND_SECONDS = 1.5   # what a duty that may be left out may take: less than a gap in the clock


log = structlog.get_logger(__name__)


def _identity(role: str) -> str:
    return f"{role}:{socket.gethostname()}:{os.getpid()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What a dispatcher may be told; durations are in seconds."""

    by: str = field(default_factory=lambda: _identity("beat"))
    """Who signs."""
    duty: str = presence.DISPATCH
    """Under which name: an understudy signs under its own, so that beat's absence stays visible."""
    lease_seconds: float = field(default_factory=lambda: config().lease_seconds)
    rescue_cap: int = field(default_factory=lambda: config().rescue_cap)
    tickets: int = field(default_factory=lambda: config().tickets)
    batch: int = 1000
    look_seconds: float = 0.25
    """The longest wait between two looks; an earlier due row ends it."""
    stuck_seconds: float = 0.05
    """The wait when rows are due that cannot be moved: somebody holds them."""
    rescue_budget_seconds: float = 0.5
    due_budget_seconds: float = 0.5
    sign_seconds: float = 1.0
    neglected_seconds: float = 1.0
    sweep_seconds: float = 1.0
    """How long a lock's key may have jobs in line and no head."""
    chores_seconds: float = 60.0

    @property
    def rescue_seconds(self) -> float:
        """The time between two looks for ended leases."""
        return min(0.5, max(0.1, self.lease_seconds / 10))

    @classmethod
    def of_worker(cls) -> "Config":
        """Return the configuration of a worker's understudy."""
        return cls(by=_identity("worker"), duty=presence.UNDERSTUDY)


class Dispatcher:
    """One dispatcher of any number; it belongs to one thread, with a connection of its own."""

    def __init__(self, config: Config | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.config = config or Config()
        self.hold = RescueHold(self.config.lease_seconds)
        self._clock = clock
        self._connection: psycopg.Connection[Any] | None = None
        self._next: dict[str, float] = {}
        self._rests: dict[str, float] = {}
        self._swept_to, self._sweeps = "", heads.SWEEP_KEYS
        self._back_off = SHORTEST_BACK_OFF

    def run_once(self) -> float:
        """Do what is to be done now, and return the seconds until there may be more.

        Raise psycopg's errors; `survive()` knows what to do about them.
        """
        now, ready = self._clock(), Counter[str]()
        if self._is_time("rescue", now, self.config.rescue_seconds):
            self._rescue(ready)
            self._rest("rescue", RESCUE_REST * (self._clock() - now))
        if self._is_time("neglected", now, self.config.neglected_seconds):   # before others become ready, who are not yet
            with self._ours():
                self._ring_neglected()
        if self._is_time("sweep", now, self.config.sweep_seconds):
            with self._ours():
                self._sweep(ready)
        wait = self._move(ready)
        if self._is_time("sign", now, self.config.sign_seconds):
            with self._ours():
                self._sign()
        if self._is_time("chores", now, self.config.chores_seconds):
            since = self._clock()
            with self._ours():
                chores.run(by=self.config.by)
            self._next["chores"] = max(self._next["chores"], self._clock() + CHORES_REST * (self._clock() - since))
        return wait

    def wait(self, seconds: float) -> None:
        """Wait for the next look, or until a job announces that it is due earlier."""
        if seconds > 0:
            for _ in self._connected().notifies(timeout=seconds, stop_after=1):
                pass

    def turn(self) -> None:
        """Look once and wait, whatever the database does: one round of a loop that never dies."""
        self.survive(lambda: self.wait(self.run_once()), rest=time.sleep)

    def run(self, until: Callable[[], bool]) -> None:
        """Take turns until told to stop, which is asked between turns: at least four times a second."""
        try:
            while not until():
                self.survive(lambda: self.wait(self.run_once()), rest=lambda seconds: pause(seconds, until))
        finally:
            self.close()

    def survive(self, act: Callable[[], object], *, rest: Callable[[float], object]) -> None:
        """Act, and outlive what comes of it: a broken connection is made anew after a growing pause."""
        try:
            act()
            self._back_off = SHORTEST_BACK_OFF
        except (pg.DeadlockDetected, pg.LockNotAvailable, pg.SerializationFailure) as exc:
            log.info("dispatcher.retries", error=type(exc).__name__)
            rest(self.config.stuck_seconds)
        except Exception as exc:  # noqa: BLE001  nobody would start it again, and the next turn needs nothing of this one
            log.warning("dispatcher.lost", error=f"{type(exc).__name__}: {exc}", again_in=self._back_off)
            self.close()
            rest(self._back_off)
            self._back_off = min(2 * self._back_off, LONGEST_BACK_OFF)

    def beats_age(self) -> float | None:
        """Return the seconds since beat signed; None when it never did. Looks at the clock too: no gap arises."""
        with self._connected().pipeline():
            age = presence.age(self._execute, name=presence.DISPATCH)
            now = due.clock(self._execute)
        self._see(now.get())
        return age.get()

    def close(self) -> None:
        """Close the connection, also in the middle of a statement: the next turn makes another."""
        self.hold.forget()
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _connected(self) -> psycopg.Connection[Any]:
        if self._connection is None:
            self._connection = connecting.connect(
                f"latchwork {self.config.by}", transaction_timeout_seconds=connecting.TRANSACTION_SECONDS, planner=PLANNER,
            )
            self._connection.execute("LISTEN job_due")
            log.info("dispatcher.connected", by=self.config.by)
        return self._connection

    def _execute(self, sql: str, params: Params) -> Cursor:
        return self._connected().execute(sql, params)

    def _is_time(self, what: str, now: float, every_seconds: float) -> bool:
        if now + EARLY < self._next.get(what, 0.0):
            return False
        self._next[what] = now + every_seconds
        return True

    def _rest(self, what: str, seconds: float) -> None:
        """Leave a duty for so long, but at most twice as long as the last time: one stall of the database is no habit."""
        seconds = self._rests[what] = min(seconds, max(SHORTEST_REST, 2 * self._rests.get(what, 0.0)))
        self._next[what] = max(self._next[what], self._clock() + seconds)

    def _see(self, now: datetime, *, ours: bool = False) -> None:
        if self.hold.see(now, ours=ours):
            log.info("dispatcher.holds_rescues", seconds=self.config.lease_seconds / 2)

    @contextmanager
    def _ours(self) -> Iterator[None]:
        """Look at the database's clock right before and right after: how long a duty takes is no stall of the database."""
        self._see(due.clock(self._execute).get())
        try:
            yield
        finally:
            if self._connection is not None and not self._connection.closed:   # a lock that was not to be had broke nothing
                self._see(due.clock(self._execute).get(), ours=True)

    @contextmanager
    def _bounded(self) -> Iterator[None]:
        """Send a statement that is given up (`QueryCanceled`) when it takes long, in a transaction of its own."""
        with self._connected().pipeline():
            self._execute("SELECT set_config('statement_timeout', %s, true)", [f"{BOUND_SECONDS * 1000:.0f}ms"])
            yield

    def _rescue(self, ready: Counter[str]) -> None:
        """End silent workers, unless a hold is on, and take back what ended ones held; in a transaction of its own."""
        until = self.hold.until
        over = self._clock() + self.config.rescue_budget_seconds
        with self._connected().pipeline():
            before = due.clock(self._execute)
            ended = rescue.end_silent_workers(self._execute, until=until) if until is not None else None
            first = self._take_back()
        silent, rescued, total = ended.get() if ended is not None else [], first.get(), 0
        self._see(before.get())
        while rescued:
            total += len(rescued)
            ready.update(each.queue for each in rescued if each.status == Status.QUEUED)
            if len(rescued) < self.config.batch or self._clock() > over:
                break
            rescued = self._take_back().get()
        self._see(due.clock(self._execute).get(), ours=True)
        if total or silent:
            metrics.rescued(total)
            log.warning("dispatcher.rescued", workers=[str(worker) for worker in silent], jobs=total)

    def _take_back(self) -> Reply[list[rescue.Rescued]]:
        return rescue.rescue(
            self._execute, rescue_cap=self.config.rescue_cap, limit=self.config.batch, error=LOST,
        )

    def _sign(self) -> None:
        try:
            with self._bounded():
                presence.sign(self._execute, name=self.config.duty, by=self.config.by)
        except pg.QueryCanceled:   # whoever holds that row holds up no job
            log.warning("dispatcher.cannot_sign", why="somebody holds the row of its duty")

    def _ring_neglected(self) -> None:
        """Ring for queues that nobody drains, in a transaction of its own: however long it takes, it undoes nothing."""
        since = self._clock()
        try:
            with self._bounded():
                found = due.neglected(self._execute)
            for queue in found.get():
                publishing.ring(queue, count=self.config.tickets)
        except pg.QueryCanceled:   # idle workers look too
            log.warning("dispatcher.cannot_look", why="the queue's index is full of dead rows: does a transaction stay open?")
        self._rest("neglected", NEGLECTED_REST * (self._clock() - since))

    def _sweep(self, ready: Counter[str]) -> None:
        """Give the keys of locks that have lost their head another, in a transaction of its own."""
        since = self._clock()
        try:
            with self._bounded():
                sent = heads.sweep(self._execute, after=self._swept_to, limit=self._sweeps)
            swept = sent.get()
        except pg.QueryCanceled:   # a repair, without which all else goes on
            log.warning("dispatcher.cannot_sweep", why="the index of locks is full of dead rows: does a transaction stay open?")
            self._sweeps = max(1, self._sweeps // 10)
        else:
            ready.update(swept.ready)
            self._swept_to, self._sweeps = swept.after, min(2 * self._sweeps, heads.SWEEP_KEYS)
            if swept.after:
                self._next["sweep"] = self._clock()   # more are in line: go on after a rest
        self._rest("sweep", SWEEP_REST * (self._clock() - since))

    def _move(self, ready: Counter[str]) -> float:
        """Move what is due until nothing is or the budget is used, and ring; the seconds until the next look."""
        over = self._clock() + self.config.due_budget_seconds
        while True:
            try:
                with self._connected().pipeline():
                    before = due.clock(self._execute)
                    reply = due.move(self._execute, limit=self.config.batch, lead_seconds=LEAD)
                    ahead = due.outlook(self._execute)
            except pg.QueryCanceled:   # rescues go on, and the connection is whole
                log.warning("dispatcher.cannot_move", why="the index of due rows is full of dead ones: does a transaction stay open?")
                self._see(due.clock(self._execute).get(), ours=True)
                return self.config.look_seconds
            moved, outlook = reply.get(), ahead.get()
            metrics.moved(sum(moved.values()))
            ready.update(moved)
            _ring(ready)
            self._see(before.get())
            self._see(outlook.now, ours=True)
            wait = self._wait_after(outlook, moved=sum(moved.values()))
            if wait > 0 or self._clock() > over:
                return wait

    def _wait_after(self, outlook: due.Outlook, *, moved: int) -> float:
        if outlook.next_due_seconds is None:
            return self.config.look_seconds
        ahead = outlook.next_due_seconds - LEAD
        if moved >= self.config.batch or (moved and ahead < -RACE):
            return 0.0
        if ahead < -RACE:   # it was to be moved when we looked, and yet it was not: somebody holds it
            return self.config.stuck_seconds
        # A hair later: a look that comes too early finds nothing, and has to be made again.
        return min(self.config.look_seconds, max(PACE if moved else 0.0, ahead) + HAIR)


def _ring(ready: Counter[str]) -> None:
    for queue, count in ready.items():
        publishing.ring(queue, count=count, at_once=True)
    ready.clear()


def pause(seconds: float, until: Callable[[], bool]) -> None:
    """Sleep, but not longer than a moment after being told to stop."""
    over = time.monotonic() + seconds
    while (left := over - time.monotonic()) > 0 and not until():
        time.sleep(min(left, SLICE))
