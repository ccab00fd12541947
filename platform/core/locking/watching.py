"""See locks change: two sights of the same names, and what lies between them."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from core import clock
from core.locking.looking import Sight


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What became of a lock between two looks."""

    at: datetime
    name: str
    what: str
    """`held`, `freed`, `handed on` (another grant since the last look), `appeared` or `gone`."""
    token: int
    holder: str | None


def changes(before: Mapping[str, Sight], after: Mapping[str, Sight]) -> Iterator[Change]:
    """Yield what is different, by name. What came and went between two looks is not seen."""
    at = clock.now()
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        what = _between(old, new)
        last = new or old
        if what and last is not None:
            yield Change(at=at, name=name, what=what, token=last.token, holder=last.holder)


def watch(look: Callable[[], list[Sight]], *, every: timedelta, until: float | None) -> Iterator[Change]:
    """Yield what changes from now on; the first look is where it begins. `until` is a moment of `clock.elapsed`."""
    seen = {each.name: each for each in look()}
    while until is None or clock.elapsed() < until:
        time.sleep(every.total_seconds())
        now = {each.name: each for each in look()}
        yield from changes(seen, now)
        seen = now


def _between(old: Sight | None, new: Sight | None) -> str:
    match old, new:
        case None, Sight():
            return "held" if new.holder else "appeared"
        case Sight(), None:
            return "gone"
        case Sight(), Sight() if old.holder and new.holder:
            return "" if old.token == new.token else "handed on"
        case Sight(), Sight() if new.holder:
            return "held"
        case Sight(), Sight() if old.holder:
            return "freed"
    return ""
