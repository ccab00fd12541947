"""Read a large table in the order of an index, in steps of bounded cost, wherever in it the wanted rows are.

What an index answers is read page by page from where the last page ended. What no index answers is looked for in windows:
so many rows in the index's order, and of these the wanted ones. A list then never waits for a whole table, whatever is
asked and however old the statistics are; it says how far it has looked, and the next page goes on from there.
"""

import base64
import binascii
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar, cast

from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.db.models import Count, Field, Model, Q, QuerySet

from core import clock
from core.errors import PlatformError

WINDOW = 20_000    # rows of an index that one statement reads
FIRST_WINDOW = 1_000   # what is usual is found among few, and each further window is larger
SECONDS = 0.2      # no further window is begun after that long
ModelT = TypeVar("ModelT", bound=Model)
_by_index: ContextVar[bool] = ContextVar("by_index", default=False)
Place = tuple[Any, ...]
"""Where in the order something stands: the values of the order's fields."""


class ForeignPlace(PlatformError):
    """A text that no page of this list has given."""

    def __init__(self) -> None:
        super().__init__("this is no place in this list: begin at its first page")


@dataclass(frozen=True, slots=True, kw_only=True)
class Span(Generic[ModelT]):
    """Some rows in their order, and where looking for them ended."""

    rows: list[ModelT]
    ended: bool
    """Nothing lies behind."""
    place: Place | None
    """Where to go on: behind the last row, or behind all that was looked at in vain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How many rows there are of each value, and whether that is all of them."""

    counts: dict[str, int]
    complete: bool

    @property
    def total(self) -> int:
        return sum(self.counts.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk(Generic[ModelT]):
    """Rows in an order: `sources` are disjoint parts of a table that an index each has in it, `keep` what none knows.

    The order's last field is unique. `newest_first` turns all of it around.
    """

    sources: Sequence[QuerySet[ModelT]]
    order: tuple[str, ...]
    keep: Q | None = None
    newest_first: bool = True

    def go(
        self, after: Place | None = None, *, limit: int, back: bool = False, window: int = WINDOW, seconds: float = SECONDS,
    ) -> Span[ModelT]:
        """Return up to `limit` rows behind a place, or, going back, those before it; each in the list's own order."""
        with by_index():
            span = self._go(after, limit=limit, down=self.newest_first is not back, window=window, seconds=seconds)
        return Span(rows=span.rows[::-1], ended=span.ended, place=span.place) if back else span

    def tally(self, field: str, *, most: int, window: int = WINDOW, seconds: float = SECONDS) -> Tally:
        """Count the rows by a field, up to about `most` of them and for about so long."""
        counts: dict[str, int] = {}
        over = clock.elapsed() + seconds
        with by_index():
            for source in self.sources:
                place: Place | None = None
                while True:
                    rows, edge = self._window(source, place, down=self.newest_first, window=window)
                    kept = rows.filter(self.keep) if self.keep is not None else rows
                    for value, count in kept.order_by().values_list(field).annotate(Count("pk")):
                        counts[str(value)] = counts.get(str(value), 0) + count
                    if edge is None:
                        break
                    place = edge
                    if sum(counts.values()) >= most or clock.elapsed() > over:
                        return Tally(counts=counts, complete=False)
        return Tally(counts=counts, complete=True)

    def place_of(self, row: Model) -> Place:
        return tuple(getattr(row, name) for name in self.order)

    def read_place(self, text: str) -> Place:
        """Return the place that a text names; raise `ForeignPlace`."""
        model = self.sources[0].model if self.sources else None
        try:
            given = json.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
            values = tuple(
                cast("Field[Any, Any]", model._meta.get_field(name)).to_python(value)  # noqa: SLF001  Django's documented way
                for name, value in zip(self.order, given, strict=True)
            ) if model else ()
        except (ValidationError, ValueError, TypeError, OverflowError, binascii.Error, RecursionError) as exc:
            raise ForeignPlace from exc
        if any(value is None or (isinstance(value, datetime) and value.tzinfo is None) for value in values):
            raise ForeignPlace
        return values

    def _go(self, after: Place | None, *, limit: int, down: bool, window: int, seconds: float) -> Span[ModelT]:
        if self.keep is None:
            behind = [self._beyond(each, after, down=down) for each in self.sources]
            return self._span(list(self._merged(behind, down=down, count=limit + 1)), limit=limit, edge=None)
        over = clock.elapsed() + seconds
        found: list[ModelT] = []
        size = min(FIRST_WINDOW, window)
        while True:
            edge = self._edge(after, down=down, window=size)
            within = [self._until(self._beyond(each, after, down=down), edge, down=down) for each in self.sources]
            kept = [each.filter(self.keep) for each in within]
            found += self._merged(kept, down=down, count=limit + 1 - len(found))
            if len(found) > limit or edge is None or clock.elapsed() > over:
                return self._span(found, limit=limit, edge=edge)
            after, size = edge, min(4 * size, window)

    def _span(self, found: list[ModelT], *, limit: int, edge: Place | None) -> Span[ModelT]:
        if len(found) > limit:
            rows = found[:limit]
            return Span(rows=rows, ended=False, place=self.place_of(rows[-1]))
        return Span(rows=found, ended=edge is None, place=edge)

    def _edge(self, after: Place | None, *, down: bool, window: int) -> Place | None:
        """Return the place of the last row of the window behind a place, None when the table ends before."""
        behind = [self._beyond(each, after, down=down) for each in self.sources]
        places: list[Any] = [each.values_list(*self.order) for each in behind]
        merged: Any = self._merged(places, down=down, count=window)
        return next(iter(merged[window - 1 :]), None)

    def _window(
        self, source: QuerySet[ModelT], after: Place | None, *, down: bool, window: int,
    ) -> tuple[QuerySet[ModelT], Place | None]:
        behind = self._beyond(source, after, down=down)
        edge = next(iter(self._ordered(behind, down=down).values_list(*self.order)[window - 1 : window]), None)
        return self._until(behind, edge, down=down), edge

    def _merged(self, sources: Sequence[QuerySet[ModelT]], *, down: bool, count: int) -> QuerySet[ModelT]:
        """Return the first rows of all sources in their order: each is read no further than it is needed."""
        parts = [self._ordered(each, down=down)[:count] for each in sources]
        if len(parts) == 1:
            return parts[0]
        return self._ordered(parts[0].union(*parts[1:], all=True), down=down)[:count]

    def _ordered(self, rows: QuerySet[ModelT], *, down: bool) -> QuerySet[ModelT]:
        return rows.order_by(*(f"-{name}" if down else name for name in self.order))

    def _beyond(self, rows: QuerySet[ModelT], after: Place | None, *, down: bool) -> QuerySet[ModelT]:
        return rows if after is None else rows.filter(_compared(self.order, after, "lt" if down else "gt"))

    def _until(self, rows: QuerySet[ModelT], edge: Place | None, *, down: bool) -> QuerySet[ModelT]:
        if edge is None:
            return rows
        at = Q(**dict(zip(self.order, edge, strict=True)))
        return rows.filter(_compared(self.order, edge, "gt" if down else "lt", also=at))


def text_of(place: Place) -> str:
    """Return a place as the text that `read_place` reads."""
    values = [value.isoformat() if hasattr(value, "isoformat") else str(value) for value in place]
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


@contextmanager
def by_index() -> Iterator[None]:
    """Let no statement inside read a whole table where an index leads: the planner would, on the word of old statistics."""
    if _by_index.get():
        yield
        return
    inside = _by_index.set(True)
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('enable_seqscan'), set_config('enable_seqscan', 'off', true)")
            before = cursor.fetchone()[0]
            yield
            cursor.execute("SELECT set_config('enable_seqscan', %s, true)", [before])
    finally:
        _by_index.reset(inside)


def _compared(names: Sequence[str], values: Place, sign: str, *, also: Q | None = None) -> Q:
    """Say `(a, b) < (x, y)` so that an index on (a, b) is entered at x: a ≤ x first, then the finer choice."""
    finer = also if also is not None else Q(pk__in=[])
    for number, name in enumerate(names):
        equal = dict(zip(names[:number], values[:number], strict=True))
        finer |= Q(**equal, **{f"{name}__{sign}": values[number]})
    return Q(**{f"{names[0]}__{sign}e": values[0]}) & finer
