"""Ask a store for one change until the answer is definite.

Repeating is conclusive where reading is not: after a reading that shows nothing, a late copy can still take effect; after a
repetition was applied or refused, the condition that a late copy needs is gone.
"""

import random
from collections.abc import Callable
from typing import TypeVar

from locks.answers import Answer, Applied, NotDone, Refused, Unknown
from locks.changes import Change
from locks.clock import Clock
from locks.errors import NoAnswer
from locks.events import Event
from locks.observer import Answered, Observer
from locks.row import Row
from locks.store import Store

T = TypeVar("T")
SHORTEST_ATTEMPT = 0.05   # less is not worth sending; a caller's deadline may be overrun by this


class Question:
    """One change that is asked for until it is settled, by whoever holds the question at the time."""

    def __init__(self, change: Change) -> None:
        self.change = change
        self.number = 0
        """Attempts made so far."""
        self.doubt = False
        """A copy may have taken effect, or may yet."""
        self.sent: float | None = None
        """When the first copy was sent: nothing that it did is older than that."""


class Asker:
    """The one path from this library to its store."""

    def __init__(self, store: Store, *, clock: Clock, observer: Observer) -> None:
        self.store, self._clock, self._observer = store, clock, observer
        self.in_doubt = False
        """The last answer that this process got, to whatever change, was no answer."""

    def once(self, question: Question, *, until: float) -> Answer:
        """Make the next attempt."""
        begun = self._clock.now()
        if question.sent is None:
            question.sent = begun
        number, question.number = question.number, question.number + 1
        answer = self.store.attempt(question.change, number=number, timeout_seconds=self._cut(until))
        self.in_doubt = not isinstance(answer, Applied | Refused)
        if isinstance(answer, Unknown):
            question.doubt = True
        change = question.change
        self._observer.tell(Answered(
            name=change.name, change=change, answer=answer, number=number, seconds=self._clock.now() - begun,
        ))
        return answer

    def ask(self, question: Question, *, until: float) -> Answer:
        """Repeat word by word until applied or refused; when the time is over, say Unknown, or NotDone if that is sure."""
        pauses = 0
        while True:
            answer = self.once(question, until=until)
            if isinstance(answer, Applied | Refused):
                return answer
            pause = random.uniform(0.01, min(1.0, 0.05 * 2 ** min(pauses, 5)))   # noqa: S311  spreads load, keeps no secret
            if self._clock.now() + pause >= until:
                return Unknown(answer.why) if question.doubt else NotDone(answer.why)
            pauses += 1
            self._clock.sleep(pause)

    def read(self, name: str, *, until: float) -> Row | None:
        return self._repeat(lambda number, seconds: self.store.read(name, number=number, timeout_seconds=seconds), until)

    def look(self, name: str, *, until: float) -> Row | None:
        return self._repeat(lambda number, seconds: self.store.look(name, number=number, timeout_seconds=seconds), until)

    def floor(self, *, until: float) -> int:
        return self._repeat(lambda number, seconds: self.store.floor(number=number, timeout_seconds=seconds), until)

    def names(self, *, prefix: str, after: str, limit: int, until: float) -> list[str]:
        return self._repeat(
            lambda _, seconds: self.store.names(prefix=prefix, after=after, limit=limit, timeout_seconds=seconds), until,
        )

    def record(self, event: Event, *, until: float) -> None:
        self._repeat(lambda _, seconds: self.store.record(event, timeout_seconds=seconds), until)

    def events(self, name: str, *, limit: int, until: float) -> list[Event]:
        return self._repeat(lambda _, seconds: self.store.events(name, limit=limit, timeout_seconds=seconds), until)

    def _repeat(self, reading: Callable[[int, float], T], until: float) -> T:
        number = 0
        while True:
            try:
                return reading(number, self._cut(until))
            except NoAnswer:
                pause = random.uniform(0.01, 0.2)   # noqa: S311  as above
                if self._clock.now() + pause >= until:
                    raise
            number += 1
            self._clock.sleep(pause)

    def _cut(self, until: float) -> float:
        return min(self.store.attempt_seconds, max(SHORTEST_ATTEMPT, until - self._clock.now()))
