"""Rows out of one moment of the database, without being in anybody's way there."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Self

import psycopg
from psycopg import sql

from apps.jobs.transitions import connection as connecting
from apps.jobs.types.report.errors import ReportTooSlow
from core import clock

BATCH = 500                 # rows; a few megabytes when each carries a long text
STATEMENT_SECONDS = 120.0   # what one answer of the server may take
SNAPSHOT_SECONDS = 600.0    # what all of them may: as long as the snapshot lives, vacuum removes nothing
LOOK_SECONDS = 0.2

# One core at most, and sorts that spill to disk early; the server itself ends the snapshot of a process that was stopped.
OPTIONS = (
    "-c max_parallel_workers_per_gather=0 -c work_mem=16MB -c jit=off -c cursor_tuple_fraction=1"
    " -c idle_in_transaction_session_timeout=60000"
)

Params = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a query, read through a server-side cursor by whoever iterates."""

    snapshot: "Snapshot"
    query: str
    params: Params

    def __iter__(self) -> Iterator[Sequence[Any]]:
        return self.snapshot.read(self.query, self.params)


class Snapshot:
    """One moment of the database. `seconds` bounds its life, `check` is asked while it waits."""

    def __init__(self, connection: psycopg.Connection[Any], watch: "Watch", *, seconds: float) -> None:
        self._connection, self._watch, self._seconds = connection, watch, seconds
        self._ends = clock.elapsed() + seconds
        self._cursors = 0

    def rows(self, query: str, params: Params | None = None) -> Rows:
        """Return the rows that a SELECT gives, with values for its `%(name)s`; nothing is read before they are iterated."""
        return Rows(self, query, params or {})

    def read(self, query: str, params: Params) -> Iterator[Sequence[Any]]:
        """Yield the rows; raise `ReportTooSlow`, or what ends the attempt."""
        self._cursors += 1
        text = sql.SQL(query)   # the queries of reports are code, and values come as parameters
        with self._watch.over("an answer of the database"), self._connection.cursor(f"report_{self._cursors}") as cursor:
            cursor.execute(text, params or None)
            while batch := cursor.fetchmany(BATCH):
                self._watch.heed()
                if clock.elapsed() > self._ends:
                    raise ReportTooSlow("reading its rows", seconds=self._seconds)
                yield from batch


class Watch:
    """Asks `check` while a statement runs, and cancels the statement at the server when it raises."""

    def __init__(self, connection: psycopg.Connection[Any], check: Callable[[], None]) -> None:
        self._connection, self._check = connection, check
        self._ended = threading.Event()
        self._stopped: BaseException | None = None
        self._thread = threading.Thread(target=self._look, name="report-watch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def heed(self) -> None:
        """Raise what `check` has raised."""
        if self._stopped is not None:
            raise self._stopped

    @contextmanager
    def over(self, what: str) -> Iterator[None]:
        """Translate the end of a statement that was cancelled: by us, or by the server's own clock."""
        try:
            yield
        except psycopg.errors.QueryCanceled as exc:
            self.heed()
            raise ReportTooSlow(what, seconds=STATEMENT_SECONDS) from exc

    def _look(self) -> None:
        while not self._ended.wait(LOOK_SECONDS):
            if self._stopped is None:
                try:
                    self._check()
                except Exception as exc:  # noqa: BLE001  whatever ends the attempt: the handler's own thread raises it
                    self._stopped = exc
            if self._stopped is not None:   # again and again: the next statement may have begun since
                with suppress(psycopg.Error):
                    self._connection.cancel_safe(timeout=2)


@contextmanager
def snapshot(check: Callable[[], None], *, seconds: float = SNAPSHOT_SECONDS) -> Iterator[Snapshot]:
    """Open a snapshot for the length of the block.

    READ ONLY, so that a report cannot write by mistake; REPEATABLE READ, so that all of its tables see one moment. On a
    connection of its own, because `job.progress()` writes meanwhile.
    """
    opened = connecting.connect("latchwork report", statement_timeout_seconds=STATEMENT_SECONDS, planner=OPTIONS)
    try:
        opened.isolation_level, opened.read_only = psycopg.IsolationLevel.REPEATABLE_READ, True
        opened.prepare_threshold = None   # each statement is sent once, and planned for its own values
        with opened.transaction(), Watch(opened, check) as watch:   # its end is not to be cancelled
            yield Snapshot(opened, watch, seconds=seconds)
    finally:
        opened.close()
