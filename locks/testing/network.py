"""Networks that lose, delay and double what goes to a memory store, as a test says or at random."""

import random
from collections.abc import Callable
from enum import Enum
from typing import TypeVar

from locks.answers import Answer, NotDone, Unknown
from locks.changes import Change
from locks.errors import NoAnswer

T = TypeVar("T")


class Fate(Enum):
    """What becomes of one copy of a change, and what its sender hears."""

    WELL = "well"
    REPLY_LOST = "reply lost"
    """It takes effect; the sender hears Unknown."""
    HELD_UP = "held up"
    """The sender hears Unknown; it is delivered later, when `deliver_late` is called, or never."""
    DOUBLED = "doubled"
    """It takes effect, the sender hears so, and a second copy is delivered later."""
    NOT_SENT = "not sent"
    """The sender hears NotDone."""


class BadNetwork:
    """Ask `fate` about each copy. What is held up waits in `late` until the test delivers it, in any order."""

    def __init__(self, fate: Callable[[Change], Fate], *, silent: Callable[[], bool] = lambda: False) -> None:
        self._fate, self._silent = fate, silent
        self.late: list[tuple[Change, Callable[[], Answer]]] = []
        self.fates: list[tuple[Change, Fate]] = []

    def carry(self, change: Change, deliver: Callable[[], Answer]) -> Answer:
        fate = self._fate(change)
        self.fates.append((change, fate))
        match fate:
            case Fate.WELL:
                return deliver()
            case Fate.REPLY_LOST:
                deliver()
                return Unknown("the reply was lost")
            case Fate.HELD_UP:
                self.late.append((change, deliver))
                return Unknown("no reply in time")
            case Fate.DOUBLED:
                self.late.append((change, deliver))
                return deliver()
            case Fate.NOT_SENT:
                return NotDone("not connected")

    def fetch(self, reading: Callable[[], T]) -> T:
        if self._silent():
            raise NoAnswer("no reply in time")
        return reading()

    def deliver_late(self, number: int = 0) -> Answer:
        """Deliver one of the copies that are still on their way."""
        return self.late.pop(number)[1]()


def scripted(*fates: Fate) -> Callable[[Change], Fate]:
    """Give the first copies these fates; all others go well."""
    rest = list(fates)
    return lambda _: rest.pop(0) if rest else Fate.WELL


def at_random(seed: int, *, well: float = 0.6) -> Callable[[Change], Fate]:
    """Let so many copies go well, and share the other fates among the rest."""
    draw = random.Random(seed)   # noqa: S311  a test that can be repeated
    bad = [fate for fate in Fate if fate is not Fate.WELL]
    return lambda _: Fate.WELL if draw.random() < well else draw.choice(bad)
