"""How a transition is sent and read: on Django's connection, or in the bookkeeper's pipeline."""

import os
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

import psycopg
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from apps.jobs.lifecycle import AttemptOutcome, Status

ResultT = TypeVar("ResultT")
Params = Mapping[str, Any] | Sequence[Any]


class Cursor(Protocol):
    @property
    def rowcount(self) -> int: ...
    def fetchall(self) -> list[Any]: ...


Execute = Callable[[str, Params], Cursor]


class Reply(Generic[ResultT]):
    """A statement that has been sent; `get()` reads its answer, in a pipeline only after the pipeline's end."""

    __slots__ = ("_cursor", "_read")

    def __init__(self, cursor: Cursor, read: Callable[[list[Any]], ResultT]) -> None:
        self._cursor, self._read = cursor, read

    def get(self) -> ResultT:
        return self._read(self._cursor.fetchall())


def on_django(using: str = "default") -> Execute:
    """Return an `Execute` on this thread's Django connection: the statement joins the transaction that is open there."""

    def execute(sql: str, params: Params) -> Cursor:
        cursor = connections[using].cursor()
        cursor.execute(sql, params)
        return cursor

    return execute


class Prepared(psycopg.Cursor[Any]):
    """A cursor whose statements the server parses and plans once a connection; values travel apart from the text."""

    def execute(self, query: Any, params: Any = None, **_: Any) -> "Prepared":
        super().execute(query, params, prepare=True)
        return self


def is_watched(django: BaseDatabaseWrapper) -> bool:
    """Return whether somebody watches queries: then they are to be Django's own."""
    return bool(django.queries_logged or django.execute_wrappers)


def make_ready(django: BaseDatabaseWrapper) -> None:
    """Do what Django's own cursors do before they execute anything."""
    django.close_if_health_check_failed()
    django.ensure_connection()
    django.validate_thread_sharing()
    django.validate_no_broken_transaction()


def prepared_on_django(using: str = "default") -> Execute:
    """Return what `on_django` does, for statements that are sent often: prepared where the settings allow it.

    It does what Django's own cursors do, its errors and its health checks are those of any query, without making two of
    them for each statement. Where somebody watches queries (a log, a wrapper), they are Django's own.
    """
    django = connections[using]

    def execute(sql: str, params: Params) -> Cursor:
        if is_watched(django):
            cursor = django.cursor()
            cursor.execute(sql, params)
            return cursor
        make_ready(django)
        with django.wrap_database_errors:
            return Prepared(django.connection).execute(sql, params)

    return execute


def quoted(*members: Status | AttemptOutcome) -> str:
    """Return members as an SQL list. They are constants of this house, never input."""
    return ", ".join(f"'{member.value}'" for member in members)


TALLY = """
tallied AS (
  INSERT INTO job_tally (minute, worker_id, type, queue, event, count, seconds)
  SELECT date_trunc('minute', clock_timestamp()), %(tally)s, type, queue, event, count(*), sum(seconds)
  FROM counted GROUP BY type, queue, event ORDER BY type, queue, event
  ON CONFLICT (minute, worker_id, type, queue, event)
  DO UPDATE SET count = job_tally.count + EXCLUDED.count, seconds = job_tally.seconds + EXCLUDED.seconds)"""
"""Adds what the statement's CTE `counted (type, queue, event, seconds)` says. `tally` is the bookkeeper's worker, the
thread of a handler, or a fresh id for anybody else: nobody may wait for another's open transaction to count."""

_own = threading.local()


def thread_tally() -> uuid.UUID:
    """Return the id under which this thread counts; it has one transaction at a time, so nobody else waits for that."""
    if getattr(_own, "pid", None) != os.getpid():   # a forked child is somebody else
        _own.pid, _own.id = os.getpid(), uuid.uuid4()
    found: uuid.UUID = _own.id
    return found
