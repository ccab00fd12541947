"""Named locks in one namespace of a store: what users call."""

import contextlib
import os
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from locks import forcing, purging
from locks.acquiring import Acquisition
from locks.answers import Applied, Refused, Unknown
from locks.asking import Asker, Question
from locks.canceller import Canceller
from locks.changes import RaiseFloor
from locks.clock import Clock
from locks.errors import LockHeld, LockStoreUnavailable, LockUnknown, NoAnswer
from locks.events import Event
from locks.forking import remember_to_forget
from locks.journal import Journal
from locks.lease import Lease
from locks.means import Means
from locks.observer import Observer, Silence
from locks.renewal import Keeper
from locks.row import Row, State
from locks.sights import Sights
from locks.store import Store
from locks.tokens import Tokens
from locks.trust import Trust
from locks.turns import Turns

LEASE = timedelta(seconds=30)
TIMEOUT = timedelta(seconds=10)
T = TypeVar("T")
POLL_SECONDS = 0.5      # a waiter looks at least that often
NAME_BYTES = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A lock as it was seen a moment ago."""

    name: str
    row: Row
    free_in_seconds: float
    """How long it can stay held if nobody renews it, as far as this process has watched it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some locks, by name; `next` is where to go on, "" at the end."""

    items: tuple[Listed, ...]
    next: str


class Locks:
    """Acquire, inspect and end named locks. Make one for a process and a store, and share it among its threads.

    Durations are `timedelta`. A forked child may go on using it: leases stay with the parent, connections are made anew.
    """

    def __init__(
        self, store: Store, *, owner: str = "", observer: Observer | None = None, trust: Trust | None = None,
        clock: Clock | None = None, background: bool = True,
    ) -> None:
        """Take `owner` as what others see of who holds. Without `background` nothing is renewed or cancelled by itself:
        tests then call `keeper.run_once()` and `canceller.run_once()`.
        """
        self.store = store
        self.closed = False
        self.owner = owner or f"{socket.gethostname()}:{os.getpid()}"
        observer, trust, clock = observer or Silence(), trust or Trust(), clock or Clock()
        asker = Asker(store, clock=clock, observer=observer)
        self.keeper = Keeper(clock, threads=background)
        self.canceller = Canceller(asker, clock=clock, observer=observer, threads=background)
        self._means = Means(
            asker=asker, clock=clock, trust=trust, observer=observer, tokens=Tokens(clock), sights=Sights(clock, trust),
            keeper=self.keeper, canceller=self.canceller, journal=Journal(asker, clock=clock, beside=self.keeper.call),
        )
        self._turns = Turns()
        remember_to_forget(self._turns)
        remember_to_forget(self._means.tokens)
        remember_to_forget(self._means.sights)

    @property
    def means(self) -> Means:
        """What the other parts of this package build on."""
        return self._means

    def acquire(
        self, name: str, *, lease: timedelta = LEASE, timeout: timedelta = TIMEOUT, owner: str = "",
        on_lost: Callable[[Lease, str], None] | None = None, on_danger: Callable[[Lease, float], None] | None = None,
    ) -> Lease:
        """Return a lease that renews itself, waiting for it at most `timeout`.

        Raise LockHeld or LockStoreUnavailable: certainly not held, unless the latter is a LockUnknown, of which nobody knows
        yet. Give a timeout of more than two attempts of the store, so that an unknown outcome can still be resolved for you.
        """
        return self._acquire(
            name, lease=lease, timeout=timeout, owner=owner, on_lost=on_lost, on_danger=on_danger, patient=True,
        )

    def try_acquire(
        self, name: str, *, lease: timedelta = LEASE, timeout: timedelta | None = None, owner: str = "",
        on_lost: Callable[[Lease, str], None] | None = None, on_danger: Callable[[Lease, float], None] | None = None,
    ) -> Lease:
        """Return a lease, or raise as `acquire` does, without waiting for a holder; `timeout` is for the store to answer."""
        timeout = timeout or timedelta(seconds=2.5 * self.store.attempt_seconds)
        return self._acquire(
            name, lease=lease, timeout=timeout, owner=owner, on_lost=on_lost, on_danger=on_danger, patient=False,
        )

    def expect_free(self, name: str, *, timeout: timedelta = TIMEOUT) -> None:
        """Look, cheaply, whether it is worth asking for the lock; raise LockHeld if it is not.

        What it shows may be a moment old. Only an acquire decides.
        """
        row = self._reach(name, lambda: self._means.asker.look(name, until=self._until(timeout)))
        if row is None or row.state != State.HELD:
            return
        left = self._means.sights.see(name, row) - self._means.clock.now()
        if left > 0:
            raise LockHeld(
                name, owner=row.owner, token=row.fence, since=row.since, free_in_seconds=left, holder=row.nonce,
            )

    def inspect(self, name: str, *, timeout: timedelta = TIMEOUT) -> Row | None:
        """Return the row as it certainly was at one instant of this call; None if the lock was never used, or purged."""
        return self._reach(name, lambda: self._means.asker.read(name, until=self._until(timeout)))

    def history(self, name: str = "", *, limit: int = 50, timeout: timedelta = TIMEOUT) -> tuple[Event, ...]:
        """Return the latest audit entries of a lock, or of all, newest first."""
        return tuple(self._reach(name, lambda: self._means.asker.events(name, limit=limit, until=self._until(timeout))))

    def list(self, *, prefix: str = "", after: str = "", limit: int = 100, timeout: timedelta = TIMEOUT) -> Page:
        """Return the next locks by name, each as it was a moment ago."""
        asker, until = self._means.asker, self._until(timeout)
        names = self._reach(prefix, lambda: asker.names(prefix=prefix, after=after, limit=limit, until=until))
        items = []
        for name in names:
            row = self._reach(name, lambda name=name: asker.look(name, until=until))   # type: ignore[misc]   # mypy cannot infer a default of a lambda
            if row is not None:
                free = self._means.sights.see(name, row) - self._means.clock.now() if row.state == State.HELD else 0.0
                items.append(Listed(name=name, row=row, free_in_seconds=max(0.0, free)))
        return Page(items=tuple(items), next=names[-1] if len(names) == limit else "")

    def force_release(self, name: str, token: int, *, reason: str, by: str, timeout: timedelta = TIMEOUT) -> forcing.Forced:
        """End the grant of `token`, which is the one that the operator saw: a later holder is never hit.

        The lock's token rises at once, so that the ousted holder's writes are refused from then on by whoever compares with
        it. Record who and why, before and after. Raise LockStoreUnavailable if it was not done; its kind LockUnknown if nobody knows.
        """
        return forcing.force_release(self._means, name, token, reason=reason, by=by, until=self._until(timeout))

    def purge(self, name: str, *, by: str, timeout: timedelta = TIMEOUT) -> purging.Purged:
        """Delete the row of a lock that nobody uses any more; the namespace's floor keeps its tokens from coming back."""
        purged = self._reach(name, lambda: purging.purge(self._means.asker, name, until=self._until(timeout)))
        if purged is purging.Purged.PURGED:
            self._means.journal.note(name, "purged", token=0, actor=by, reason="")
        return purged

    def purge_many(self, listed: Iterable[Listed], *, by: str, timeout: timedelta = TIMEOUT) -> dict[str, purging.Purged]:
        """Purge locks that `list` has just shown, each if nobody has used it since. Two statements a lock, one record of all."""
        seen = {each.name: each.row for each in listed}
        outcomes = purging.purge_seen(self._means.asker, seen, until=self._until(timeout))
        if gone := sum(outcome is purging.Purged.PURGED for outcome in outcomes.values()):
            self._means.journal.note("", "purged", token=0, actor=by, reason=f"{gone} locks that nobody uses")
        return outcomes

    def floor(self, *, timeout: timedelta = TIMEOUT) -> int:
        """Return the token above which all locks are granted whose row was made anew."""
        return self._reach("", lambda: self._means.asker.floor(until=self._until(timeout)))

    def raise_floor(self, floor: int, *, reason: str, by: str, timeout: timedelta = TIMEOUT) -> None:
        """Have rows that are made from now on start above `floor`: after a restore, and after a move to another store.

        Rows that exist keep their token: purge them, so that they are made anew. Raise LockUnknown if nobody knows whether it was done, LockStoreUnavailable if it was not.
        """
        answer = self._means.asker.ask(Question(RaiseFloor(name="", fence=floor)), until=self._until(timeout))
        if not isinstance(answer, Applied | Refused):
            raise (LockUnknown if isinstance(answer, Unknown) else LockStoreUnavailable)("", answer.why)
        self._means.journal.note("", "floor.raised", token=floor, actor=by, reason=reason)

    def close(self) -> None:
        """Stop renewing and cancelling, and give back the store's connections. Leases end for their holders now (`on_lost`
        says `closed`), and in the store after their time, unless they were released before.
        """
        self.closed = True
        self.keeper.close()
        self.canceller.close()
        self.store.close()

    def _acquire(
        self, name: str, *, lease: timedelta, timeout: timedelta, owner: str,
        on_lost: Callable[[Lease, str], None] | None, on_danger: Callable[[Lease, float], None] | None, patient: bool,
    ) -> Lease:
        seconds = lease.total_seconds()
        if not 0 < len(name.encode()) <= NAME_BYTES or "\0" in name:
            raise ValueError(f"a lock's name has 1 to {NAME_BYTES} bytes and no NUL: {name!r}")
        if seconds < (shortest := self.store.shortest_lease_seconds):
            raise ValueError(f"a lease of {seconds} s is too short for this store: give it {shortest} s or more")
        until = self._until(timeout)
        with self._turns.turn(name, seconds=timeout.total_seconds()) if patient else contextlib.nullcontext(True) as came:
            if not came:
                # the time went by behind other threads of this process: say what is to be seen, without disturbing anybody
                self.expect_free(name, timeout=timedelta(seconds=self.store.attempt_seconds))
            granted = Acquisition(
                self._means, name, owner=owner or self.owner, lease_seconds=seconds, until=until, patient=patient and came,
                poll_seconds=POLL_SECONDS,
            ).run()
        granted.on_lost, granted.on_danger = on_lost, on_danger
        self.keeper.keep(granted)    # from here on it can be lost, and by now somebody is told
        return granted

    def _until(self, timeout: timedelta) -> float:
        return self._means.clock.now() + timeout.total_seconds()

    def _reach(self, name: str, reading: Callable[[], T]) -> T:
        try:
            return reading()
        except NoAnswer as exc:
            raise LockStoreUnavailable(name, exc.why) from exc
