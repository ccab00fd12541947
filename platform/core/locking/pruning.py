"""Remove the rows of locks that nobody will ask for again, so that there are not more of them with each job for ever.

A lock may be named after something that ends: a worker's start, a job, an order. Removing its row gives no token back (the
library raises the namespace's floor first), so what is removed too early costs whoever asks next a statement or two, and
nothing else. Only a *held* lock needs care: it is ended by force, on record, where its thing is known to have ended; where
nobody here knows of the thing, it may be another installation's, and goes when its holder was seen not to renew it.
"""

import enum
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

import structlog
from django.core.cache import cache

from core import clock
from core.locking.errors import translated
from core.locking.shared import shared
from locks import Listed, Locks, LockUnknown, Purged, Reaper, State

PAGE = 200
LOOKS = 5_000                       # at locks of no known kind, each time; the next time goes on from there
CURSOR = "locks.prune.after"
SECONDS = timedelta(seconds=30)     # for one page
BY = "system.prune"

log = structlog.get_logger(__name__)


class Fate(enum.Enum):
    """What became of the thing that a lock is named after."""

    LIVES = "lives"
    ENDED = "ended"
    UNKNOWN = "unknown"
    """There is no such thing here, any more or at all."""


Fates = Callable[[Collection[str]], Mapping[str, Fate]]
"""From names of locks to what became of their things; a name that is missing is of no such thing, and is left alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrunedLocks:
    """How many rows went, and how many of these locks were still held by somebody who had ended."""

    locks: int
    dead_holders: int


def prune(*, kinds: Mapping[str, Fates], keep: timedelta, between: Callable[[], object] = lambda: None) -> PrunedLocks:
    """Remove locks whose thing has ended, by prefix of their names, and of the others those that nobody asked for since `keep`.

    `between` is called between two pages, and may raise to end it there. Raise `LocksAway`.
    """
    locks = shared()
    gone = dead = 0
    with translated():
        for prefix, fates in kinds.items():
            for page, _ in _pages(locks, prefix=prefix):
                told = fates([each.name for each in page])
                freed = [each for each in page if each.row.state == State.HELD and _is_freed(locks, each, told.get(each.name))]
                free = [each for each in page if each.row.state != State.HELD and told.get(each.name, Fate.LIVES) is not Fate.LIVES]
                dead += len(freed)
                gone += _purged(locks, [*free, *_again(locks, freed)])
                between()
        gone += _idle(locks, apart=tuple(kinds), keep=keep, between=between)
    return PrunedLocks(locks=gone, dead_holders=dead)


def _pages(locks: Locks, *, prefix: str = "", after: str = "") -> Iterator[tuple[list[Listed], str]]:
    """Yield what there is by name, each page with where the next one begins, "" at the end."""
    while True:
        found = locks.list(prefix=prefix, after=after, limit=PAGE, timeout=SECONDS)
        after = found.next
        yield list(found.items), after
        if not after:
            return


def _is_freed(locks: Locks, held: Listed, fate: Fate | None) -> bool:
    """End the grant of a thing that has ended; say whether the lock is free by that."""
    match fate:
        case Fate.ENDED:
            reason = "what the lock is named after has ended"
            try:
                locks.force_release(held.name, held.row.fence, reason=reason, by=BY)
            except LockUnknown:
                return False    # the next time finds it as it is then
            log.info("lock.dead_holder", lock=held.name, token=held.row.fence, holder=held.row.owner)
            return True
        case Fate.UNKNOWN:
            return Reaper(locks).visit(held.name)
    return False


def _again(locks: Locks, freed: list[Listed]) -> Iterator[Listed]:
    """Yield locks as they are now."""
    for each in freed:
        row = locks.inspect(each.name)
        if row is not None:
            yield Listed(name=each.name, row=row, free_in_seconds=0.0)


def _purged(locks: Locks, listed: list[Listed]) -> int:
    if not listed:
        return 0
    return sum(outcome is Purged.PURGED for outcome in locks.purge_many(listed, by=BY, timeout=SECONDS).values())


def _idle(locks: Locks, *, apart: tuple[str, ...], keep: timedelta, between: Callable[[], object]) -> int:
    """Remove free locks whose last grant was asked for longer ago than `keep`, by its holder's clock: a hint is enough."""
    before = (clock.now() - keep).timestamp() * 1000
    looks = gone = 0
    for page, following in _pages(locks, after=_cursor()):
        gone += _purged(locks, [
            each for each in page
            if each.row.state in {State.FREE, State.RETIRED} and each.row.since_ms < before and not each.name.startswith(apart)
        ])
        looks += PAGE
        _note(following)
        if looks >= LOOKS:
            break
        between()
    return gone


def _cursor() -> str:
    """Return where the last time stopped; a cache that is away has it begin again, which costs looks."""
    try:
        return str(cache.get(CURSOR) or "")
    except Exception as exc:  # noqa: BLE001  each cache has errors of its own
        log.warning("locks.cursor_lost", error=type(exc).__name__)
        return ""


def _note(after: str) -> None:
    try:
        cache.set(CURSOR, after, timeout=None)
    except Exception as exc:  # noqa: BLE001  as above
        log.warning("locks.cursor_lost", error=type(exc).__name__)
