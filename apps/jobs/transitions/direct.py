"""One statement in one call of libpq, for the row that is written by far the most often.

A cursor adapts, prepares and waits in Python, which costs more than a tenth of a plain INSERT with its commit. Here the values go
as text to a statement that the connection has prepared, and libpq waits, without the interpreter's lock: `psycopg.pq` is the
library's own low-level interface. Which statements a connection has prepared only the library knows (after each ROLLBACK it
forgets them all), so it is asked: `_prepared` is private, and the test of this module holds it to its form.
"""

from collections.abc import Sequence

import psycopg
from django.db import connections
from psycopg import errors, pq

from apps.jobs.transitions.statement import prepared_on_django


class Direct:
    """A statement without results, whose parameters (`%s`) have types that the server can tell from where they stand."""

    def __init__(self, sql: str) -> None:
        self._sql, count = sql, sql.count("%s")
        self._key = (sql.replace("%s", "{}").format(*(f"${number}" for number in range(1, count + 1))).encode(), (0,) * count)

    def execute(self, values: Sequence[str], *, using: str = "default") -> None:
        """Execute it on this thread's Django connection, in the transaction that is open there, with Django's errors.

        A cursor does it the first time, and wherever more than the statement is to be sent or somebody watches.
        """
        django = connections[using]
        if not (django.queries_logged or django.execute_wrappers or django.connection is None):
            encoded = [value.encode() for value in values]
            django.close_if_health_check_failed()
            django.ensure_connection()
            django.validate_thread_sharing()
            django.validate_no_broken_transaction()
            connection: psycopg.Connection = django.connection
            with django.wrap_database_errors, connection.lock:
                name = connection._prepared._names.get(self._key)   # noqa: SLF001  see above
                if name is not None and b"\0" not in b"".join(encoded) and _is_free(connection):
                    _check(connection, connection.pgconn.exec_prepared(name, encoded))
                    return
        prepared_on_django(using)(self._sql, values)


def _is_free(connection: psycopg.Connection) -> bool:
    """Whether a statement may go out as it is: a cursor would not begin a transaction first, or wait in a pipeline."""
    pgconn, transaction = connection.pgconn, pq.TransactionStatus
    status = pgconn.transaction_status
    return (
        (status == transaction.INTRANS or (connection.autocommit and status == transaction.IDLE))
        and pgconn.pipeline_status == pq.PipelineStatus.OFF
        and connection.info.encoding == "utf-8"
    )


def _check(connection: psycopg.Connection, result: pq.abc.PGresult) -> None:
    if result.status == pq.ExecStatus.COMMAND_OK:
        return
    state = (result.error_field(pq.DiagnosticField.SQLSTATE) or b"").decode()
    kind: type[psycopg.Error] = psycopg.OperationalError   # without a state the server is gone
    if state and connection.pgconn.status == pq.ConnStatus.OK:
        try:
            kind = errors.lookup(state)
        except KeyError:
            kind = psycopg.DatabaseError
    raise kind(result.get_error_message("utf-8"), info=result, encoding="utf-8")
