"""One statement in one call of libpq, where an application or a worker waits for nothing else.

A cursor adapts, prepares and waits in Python, which costs more than a tenth of a plain INSERT with its commit, and a third of
a worker's wait for its next job. Here the values go as text to a statement that the connection has prepared, and libpq
waits, without the interpreter's lock: `psycopg.pq` is the library's own low-level interface. Which statements a connection
has prepared only the library knows (after each ROLLBACK it forgets them all), so it is asked: `_prepared` is private, and
the test of this module holds it to its form.
"""

import functools
import re
from collections.abc import Sequence
from typing import Any

import psycopg
from django.db import connections
from psycopg import errors, pq
from psycopg.adapt import Transformer

from apps.jobs.transitions.statement import (
    Cursor,
    Execute,
    Params,
    Prepared,
    is_watched,
    make_ready,
    prepared_on_django,
)

_PLACE = re.compile(r"%(?:\((\w+)\))?s")
Key = tuple[bytes, tuple[int, ...]]


class Direct:
    """A statement whose results nobody reads, and whose parameters (`%s`) have types that the server can tell from where they stand."""

    def __init__(self, sql: str) -> None:
        self._sql = sql
        self._key, _ = _form(sql)

    def execute(self, values: Sequence[str], *, using: str = "default") -> int:
        """Execute it on this thread's Django connection, in the transaction that is open there, with Django's errors.

        Return how many rows it has found or written. A cursor does it the first time, and wherever more than the statement is to be
        sent or somebody watches.
        """
        django = connections[using]
        if not (is_watched(django) or django.connection is None):
            make_ready(django)
            with django.wrap_database_errors:
                if (result := _sent(django.connection, self._key, values)) is not None:
                    return Rows(django.connection, result).rowcount
        return prepared_on_django(using)(self._sql, values).rowcount

    def execute_alone(self, values: Sequence[str], *, using: str = "default") -> bool:
        """Execute it as a transaction of its own; False, and nothing was sent, where that cannot be.

        A transaction is open then, or each statement opens one, or somebody watches. For a statement that says how its own
        transaction shall be committed: in another's it would say so of that.
        """
        django = connections[using]
        if is_watched(django):
            return False
        make_ready(django)
        opened: psycopg.Connection[Any] = django.connection
        with django.wrap_database_errors:
            if not (opened.autocommit and _is_free(opened) and opened.pgconn.transaction_status == pq.TransactionStatus.IDLE):
                return False
            if _sent(opened, self._key, values) is None:
                Prepared(opened).execute(self._sql, values)
        return True


def straight(connection: psycopg.Connection[Any]) -> Execute:
    """Return an `Execute` on a connection of the caller's own, for statements with names (`%(name)s`) and values of text or None.

    Only what the connection has prepared goes this way; before that a cursor does it.
    """

    def execute(sql: str, params: Params) -> Cursor:
        key, names = _form(sql)
        result = _sent(connection, key, [params[name] for name in names])   # type: ignore[call-overload]
        return connection.execute(sql, params) if result is None else Rows(connection, result)

    return execute


class Rows:
    """What a statement has returned, with the values that a cursor would give."""

    __slots__ = ("_connection", "_result")

    def __init__(self, connection: psycopg.Connection[Any], result: pq.abc.PGresult) -> None:
        self._connection, self._result = connection, result

    @property
    def rowcount(self) -> int:
        """Return how many rows were found or written."""
        return self._result.command_tuples or 0

    def fetchall(self) -> list[Any]:
        """Return the rows as tuples."""
        read = Transformer(self._connection)
        read.set_pgresult(self._result)
        return read.load_rows(0, self._result.ntuples, tuple)


def array(texts: Sequence[str]) -> str:
    """Return an array as PostgreSQL reads it."""
    quoted = (text.replace("\\", "\\\\").replace('"', '\\"') for text in texts)
    return "{" + ",".join(f'"{text}"' for text in quoted) + "}"


@functools.cache
def _form(sql: str) -> tuple[Key, tuple[str, ...]]:
    """Return the key under which psycopg keeps a statement whose values are text, and the names of these in their order."""
    names: dict[str, str] = {}
    numbered = _PLACE.sub(lambda found: names.setdefault(found[1] or str(found.start()), f"${len(names) + 1}"), sql)
    return (numbered.encode(), (0,) * len(names)), tuple(names)


def _sent(connection: psycopg.Connection[Any], key: Key, values: Sequence[str | None]) -> pq.abc.PGresult | None:
    """Execute a prepared statement; None when a cursor has to, and then nothing was sent."""
    encoded = [None if value is None else value.encode() for value in values]
    with connection.lock:
        name = connection._prepared._names.get(key)   # noqa: SLF001  see above
        if name is None or any(value is not None and b"\0" in value for value in encoded) or not _is_free(connection):
            return None
        return _checked(connection, connection.pgconn.exec_prepared(name, encoded))   # type: ignore[arg-type] # it takes None


def _is_free(connection: psycopg.Connection[Any]) -> bool:
    """Whether a statement may go out as it is: a cursor would not begin a transaction first, or wait in a pipeline."""
    pgconn, transaction = connection.pgconn, pq.TransactionStatus
    status = pgconn.transaction_status
    return (
        (status == transaction.INTRANS or (connection.autocommit and status == transaction.IDLE))
        and pgconn.pipeline_status == pq.PipelineStatus.OFF
        and connection.info.encoding == "utf-8"
    )


def _checked(connection: psycopg.Connection[Any], result: pq.abc.PGresult) -> pq.abc.PGresult:
    if result.status in (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK):
        return result
    state = (result.error_field(pq.DiagnosticField.SQLSTATE) or b"").decode()
    kind: type[psycopg.Error] = psycopg.OperationalError   # without a state the server is gone
    if state and connection.pgconn.status == pq.ConnStatus.OK:
        try:
            kind = errors.lookup(state)
        except KeyError:
            kind = psycopg.DatabaseError
    raise kind(result.get_error_message("utf-8"), info=result, encoding="utf-8")
