"""Finish what a caller's deadline cut off: ask on until it is definite, and give back what had been won."""

import heapq
import itertools
import random
import threading
from dataclasses import dataclass

from locks.answers import Answer, Applied, Refused, Unknown
from locks.asking import Asker, Question
from locks.background import Background
from locks.changes import Acquire, Grant, Release
from locks.clock import Clock
from locks.errors import NoAnswer
from locks.forking import remember_to_forget
from locks.observer import Cancelled, Observer
from locks.row import State

MOST = 10_000        # questions at a time; what does not fit is left to takeover, which comes after one lease
LONGEST_PAUSE = 2.0


@dataclass(slots=True)
class Open:
    """A question that nobody waits for any more."""

    question: Question
    give_up_at: float
    only_watched: bool = False
    """Asking it again could win what nobody wants: look instead, until its copies cannot apply any more."""
    pauses: int = 0


class Canceller:
    """Nobody holds what it works on; it only makes locks free sooner than by takeover."""

    def __init__(self, asker: Asker, *, clock: Clock, observer: Observer, threads: bool = True) -> None:
        self._asker, self._clock, self._observer, self._threads = asker, clock, observer, threads
        self._background = Background("locks-canceller", self.run_once)
        self._order = itertools.count()
        self.forget()
        remember_to_forget(self)

    def forget(self) -> None:
        """Leave the questions to the parent, who goes on asking them."""
        self._guard = threading.Lock()
        self._heap: list[tuple[float, int, Open]] = []
        self._background.forget()

    def finish(self, question: Question, *, within_seconds: float) -> None:
        """Take over a question; after `within_seconds` the lock has long been free by takeover, and it is dropped."""
        now = self._clock.now()
        self._push(Open(question, now + within_seconds), now)

    def watch(self, change: Acquire, *, within_seconds: float) -> None:
        """Look after a cold question that was refused, and of which a copy may still apply when the lock gets free."""
        now = self._clock.now()
        self._push(Open(Question(change), now + within_seconds, only_watched=True), now)

    def close(self) -> None:
        """Ask nothing any more: what is open ends by takeover."""
        with self._guard:
            self._heap.clear()

    @property
    def pending(self) -> int:
        """How many outcomes are still unknown to this process."""
        with self._guard:
            return len(self._heap)

    def run_once(self) -> float | None:
        """Make one attempt at everything that is due; return the seconds until the next is."""
        now = self._clock.now()
        while (item := self._pop(now)) is not None:
            answer = self._look(item) if item.only_watched else self._ask(item)
            if isinstance(answer, Applied | Refused):
                self._settle(item, answer)
            elif self._clock.now() >= item.give_up_at:
                self._tell(item, "given_up")
            else:
                pause = random.uniform(0.05, min(LONGEST_PAUSE, 0.1 * 2 ** min(item.pauses, 6)))   # noqa: S311  no secret
                item.pauses += 1
                self._push(item, self._clock.now() + pause)
        with self._guard:
            return max(0.0, self._heap[0][0] - self._clock.now()) if self._heap else None

    def _ask(self, item: Open) -> Answer:
        return self._asker.once(item.question, until=self._clock.now() + self._asker.store.attempt_seconds)

    def _look(self, item: Open) -> Answer:
        """Return the row if it shows the end: ours to give back, or with a token that no copy can follow."""
        change = item.question.change
        try:
            row = self._asker.look(change.name, until=self._clock.now() + self._asker.store.attempt_seconds)
        except NoAnswer as exc:
            return Unknown(exc.why)
        ended = row is not None and isinstance(change, Grant) and row.fence >= change.fence
        return Refused(row) if ended else Unknown("it may still be on its way")

    def _settle(self, item: Open, answer: Answer) -> None:
        change = item.question.change
        if not isinstance(change, Grant):
            self._tell(item, "undone" if isinstance(answer, Applied) else "over")
            return
        row = answer.row if isinstance(answer, Refused) else None
        if isinstance(answer, Applied):
            fence = change.fence
        elif row is not None and row.state == State.HELD and row.nonce == change.nonce:
            fence = row.fence
        else:
            self._tell(item, "never" if row is None or row.nonce != change.nonce else "over")
            return
        release = Release(name=change.name, fence=fence, nonce=change.nonce)
        self._push(Open(Question(release), item.give_up_at), self._clock.now())

    def _tell(self, item: Open, how: str) -> None:
        self._observer.tell(Cancelled(name=item.question.change.name, change=item.question.change, how=how))

    def _push(self, item: Open, when: float) -> None:
        with self._guard:
            full = len(self._heap) >= MOST
            if not full:
                heapq.heappush(self._heap, (when, next(self._order), item))
        if full:
            self._tell(item, "given_up")
        elif self._threads:
            self._background.wake()

    def _pop(self, now: float) -> Open | None:
        with self._guard:
            if self._heap and self._heap[0][0] <= now:
                return heapq.heappop(self._heap)[2]
            return None
