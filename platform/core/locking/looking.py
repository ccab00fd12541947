"""Locks as operators see them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from core import clock
from core.locking.errors import LockNotFound, translated
from core.locking.shared import shared
from core.locking.waiting import waiters
from locks import Listed, Row, State
from locks.events import Event

SECONDS = timedelta(seconds=4)   # how long somebody waits for a store that is away
HISTORY = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """A lock at one moment."""

    name: str
    state: str
    token: int
    """Of the latest grant, or more: whoever compares refuses lower ones."""
    holder: str | None
    """Who asked for it, while it is held."""
    since: datetime | None
    """When the grant was asked for, by its holder's clock."""
    age_seconds: float | None
    lease_seconds: float | None
    free_in_seconds: float | None
    """How long it can stay held if nobody renews it, as far as this process has watched it."""
    renewals: int | None
    waiters: int
    """Jobs that wait for it. Others who wait leave no trace."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SightPage:
    """Some locks by name; `next` is the name to go on after, "" at the end."""

    items: tuple[Sight, ...]
    next: str


def page(*, prefix: str = "", after: str = "", limit: int = 50, held: bool | None = None) -> SightPage:
    """Return the next locks by name, each as it was a moment ago; of those found, only the held or the others if asked."""
    with translated():
        found = shared().list(prefix=prefix, after=after, limit=limit, timeout=SECONDS)
    kept = [each for each in found.items if held is None or (each.row.state == State.HELD) == held]
    return SightPage(items=tuple(_sights(kept)), next=found.next)


def everything(*, prefix: str = "", held: bool | None = None, most: int = 10_000) -> list[Sight]:
    """Return all locks, but no more than `most`."""
    items: list[Sight] = []
    after = ""
    while len(items) < most:
        found = page(prefix=prefix, after=after, limit=200, held=held)
        items += found.items
        after = found.next
        if not after:
            break
    return items[:most]


def one(name: str) -> Sight:
    """Return a lock as it certainly was during this call; raise `LockNotFound`."""
    row = read(name)
    if row is None:
        raise LockNotFound(name)
    return sight(name, row)


def read(name: str) -> Row | None:
    """Return a lock's row, if there is one."""
    with translated():
        return shared().inspect(name, timeout=SECONDS)


def history(name: str = "", *, limit: int = HISTORY) -> tuple[Event, ...]:
    """Return what was done to a lock out of the ordinary, or to all, newest first."""
    with translated():
        return shared().history(name, limit=limit, timeout=SECONDS)


def sight(name: str, row: Row) -> Sight:
    """Return how a row looks to people."""
    held = row.state == State.HELD
    return next(_sights([Listed(name=name, row=row, free_in_seconds=row.lease_ms / 1000 if held else 0.0)]))


def _sights(found: Iterable[Listed]) -> Iterator[Sight]:
    items = list(found)
    counts = waiters([each.name for each in items])
    now = clock.now()
    for each in items:
        row, held = each.row, each.row.state == State.HELD
        yield Sight(
            name=each.name, state=row.state.name.lower(), token=row.fence,
            holder=row.owner if held else None,
            since=row.since if held else None,
            age_seconds=round(max(0.0, (now - row.since).total_seconds()), 3) if held else None,
            lease_seconds=row.lease_ms / 1000 if held else None,
            free_in_seconds=round(each.free_in_seconds, 3) if held else None,
            renewals=row.hb if held else None,
            waiters=counts[each.name],
        )
