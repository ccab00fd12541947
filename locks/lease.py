"""One grant of a lock."""

import enum
import functools
import os
import threading
import uuid
from collections.abc import Callable
from datetime import timedelta
from types import TracebackType
from typing import Self

from locks.answers import Answer, Applied, NotDone, Refused, Unknown
from locks.asking import Question
from locks.changes import Release, Renew
from locks.errors import LockLost, LockStoreUnavailable, LockUnknown
from locks.means import Means
from locks.observer import Endangered, Lost, Released, Renewed
from locks.row import State

NOTHING = timedelta(0)
PATIENCE = 3   # attempts that a release is waited for; the canceller makes further ones


class Ending(enum.Enum):
    """How giving a lease back turned out."""

    RELEASED = "released"
    """The lock is free by our word."""
    OVER = "over"
    """It was not ours any more: its time had passed, or an operator had ended it."""
    UNKNOWN = "unknown"
    """Nobody knows yet. The canceller goes on asking, and the lease ends it at the latest."""


class Lease:
    """A lock that was granted, until `deadline` at most; it renews itself until it is released or lost.

    Send `token` with everything that you write, and have the other side refuse lower ones: that is what protects. Call
    `check()` before whatever cannot refuse. `on_lost` and `on_danger` are called on threads of their own.
    """

    def __init__(
        self, means: Means, *, name: str, token: int, nonce: uuid.UUID, lease_seconds: float, sent: float, hb: int = 0,
    ) -> None:
        self.name, self.token, self.nonce = name, token, nonce
        self.on_lost: Callable[[Lease, str], None] | None = None
        self.on_danger: Callable[[Lease, float], None] | None = None
        self.renew_at = self.danger_at = self.deadline = 0.0
        self._means, self._seconds, self._hb = means, lease_seconds, hb
        self._pending: Question | None = None
        self._asking = threading.Lock()    # one renewal at a time: each needs the version that the one before has made
        self._guard = threading.Lock()
        self._why: str | None = None
        self._ending: Ending | None = None
        self._pid = os.getpid()
        self._believe(sent)

    def __repr__(self) -> str:
        state = self._why or f"{self.remaining().total_seconds():.1f} s left"
        return f"<Lease {self.name!r} token {self.token}, {state}>"

    @property
    def is_over(self) -> bool:
        """Whether it was released or lost; for those who keep leases. Whoever holds one calls `check`."""
        return self._why is not None

    def remaining(self) -> timedelta:
        """Return how long it can be relied on if nothing renews it."""
        return NOTHING if self.is_over else timedelta(seconds=max(0.0, self.deadline - self._means.clock.now()))

    def check(self, min_remaining: timedelta = NOTHING) -> None:
        """Raise LockLost unless the lease is certain to last that much longer. What follows may still be held up."""
        left = self.deadline - self._means.clock.now()
        if left <= 0:
            self.expire()
        if self._why is not None:
            raise LockLost(self.name, token=self.token, why=self._why)
        if left <= min_remaining.total_seconds():
            raise LockLost(self.name, token=self.token, why=f"only {left:.2f} s are left")

    def renew(self, *, timeout: timedelta | None = None) -> None:
        """Ask for a whole lease from now on. Background renewal does this by itself, at a third of the lease.

        Raise LockLost when it is over, LockStoreUnavailable when nobody answered (LockUnknown: it may have been renewed): the
        deadline stands then.
        """
        self.check()
        until = self.deadline if timeout is None else self._means.clock.now() + timeout.total_seconds()
        answer = self._ask_renewal(until=until)
        if isinstance(answer, NotDone):
            raise LockStoreUnavailable(self.name, answer.why, nonce=self.nonce)
        self.check()    # refused, or answered too late
        if isinstance(answer, Unknown):
            raise LockUnknown(self.name, answer.why, nonce=self.nonce)

    def release(self, *, timeout: timedelta | None = None) -> Ending:
        """Give it back, also when it was lost: somebody may be waiting for its end. A second time changes nothing."""
        if self._pid != os.getpid():
            return Ending.OVER    # a forked child inherits the object, not the lock
        left = self.deadline - self._means.clock.now()
        self._end("released")
        if self._ending is not None:
            return self._ending
        seconds = PATIENCE * self._means.asker.store.attempt_seconds if timeout is None else timeout.total_seconds()
        question = Question(Release(name=self.name, fence=self.token, nonce=self.nonce))
        answer = self._means.asker.ask(question, until=self._means.clock.now() + seconds)
        if isinstance(answer, Applied):
            ending = Ending.RELEASED
        elif isinstance(answer, Refused):
            row = answer.row    # free under our nonce, and a copy was in doubt: that copy did it
            ours = row is not None and (row.state, row.fence, row.nonce) == (State.FREE, self.token, self.nonce)
            ending = Ending.RELEASED if ours and question.doubt else Ending.OVER
        else:
            ending = Ending.UNKNOWN
            self._means.canceller.finish(question, within_seconds=10 * self._seconds)
        self._ending = ending
        self._means.observer.tell(Released(name=self.name, token=self.token, how=ending.value, remaining_seconds=left))
        return ending

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Release. A block that outlived its lease ends with LockLost: what it did last was not protected."""
        if self._why is None and self.deadline <= self._means.clock.now():
            self.expire()
        lost = self._why
        self.release()
        if kind is None and lost is not None and lost != "released":
            raise LockLost(self.name, token=self.token, why=lost)

    def try_renewal(self) -> None:
        """Make one attempt to renew; for the keeper, which makes the next one."""
        if self.is_over:
            return
        now = self._means.clock.now()
        self._ask_renewal(until=min(self.deadline, now + self._means.asker.store.attempt_seconds), once=True)

    def endanger(self) -> None:
        left = self.deadline - self._means.clock.now()
        self._means.observer.tell(Endangered(name=self.name, token=self.token, remaining_seconds=left))
        if self.on_danger is not None:
            self._means.keeper.call(functools.partial(self.on_danger, self, left))

    def expire(self) -> None:
        self._end("expired")

    def abandon(self) -> None:
        self._end("closed")

    def _ask_renewal(self, *, until: float, once: bool = False) -> Answer:
        if self._pid != os.getpid():
            raise LockLost(self.name, token=self.token, why="it belongs to the process that acquired it")
        with self._asking:
            if self._pending is None:
                self._pending = Question(Renew(name=self.name, fence=self.token, nonce=self.nonce, hb=self._hb))
            question = self._pending
            asker = self._means.asker
            answer = asker.once(question, until=until) if once else asker.ask(question, until=until)
            row = answer.row if isinstance(answer, Refused) else None
            renewed = (State.HELD, self.token, self.nonce, self._hb + 1)
            # refused by our own earlier copy is a success too; in both cases it counts from the first copy that was sent
            if isinstance(answer, Applied) or (
                row is not None and (row.state, row.fence, row.nonce, row.hb) == renewed
            ):
                self._pending = None
                self._hb += 1
                self._believe(question.sent or 0.0)
            elif isinstance(answer, Refused):
                self._end("taken")
        return answer

    def _believe(self, sent: float) -> None:
        with self._guard:
            if self._why is not None:
                return    # what is over stays over, even if the store says that it was renewed
            told = self.deadline
            deadline = self._means.trust.held_until(sent=sent, lease_seconds=self._seconds)
            if told and self._means.clock.now() >= told:
                return    # the answer came after the deadline: who looked in between was told that it is over
            self.deadline = deadline
            self.renew_at = sent + self._seconds / 3
            self.danger_at = sent + self._seconds * 2 / 3
        if told:
            left = told - self._means.clock.now()
            self._means.observer.tell(
                Renewed(name=self.name, token=self.token, deadline=deadline, remaining_seconds=left),
            )

    def _end(self, why: str) -> bool:
        """End it for whichever reason comes first; say whether this was it."""
        if self._pid != os.getpid():
            self._why = self._why or why    # a forked child tells nobody, and its guard may have been held at the fork
            return False
        with self._guard:
            if self._why is not None:
                return False
            self._why = why
        if why != "released":
            self._means.observer.tell(Lost(name=self.name, token=self.token, why=why))
            if self.on_lost is not None:
                self._means.keeper.call(functools.partial(self.on_lost, self, why))
        return True
