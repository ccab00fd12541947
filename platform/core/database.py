"""How long the web waits for the database, and what is said when it is not there."""

from typing import Any

import psycopg
from django.conf import settings
from django.db import Error
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

STATEMENT_SECONDS = 15.0   # the server ends a statement of the web
SILENCE_SECONDS = 20.0     # and a server that does not even do that is given up
IDLE_SECONDS = 60.0        # in a transaction: a process that is frozen or cut off amid one keeps its rows no longer
_BOUND = """
SELECT set_config('statement_timeout', %(statement)s, false), set_config('idle_in_transaction_session_timeout', %(idle)s, false),
  set_config('tcp_keepalives_idle', '5', false), set_config('tcp_keepalives_interval', '2', false),
  set_config('tcp_keepalives_count', '3', false)"""


def away(exc: Error) -> str:
    """Return one sentence with the fix when the server was not reached or has hung up, else ""."""
    cause = exc.__cause__
    if not isinstance(cause, psycopg.OperationalError) or cause.sqlstate:   # with a state, the server itself has spoken
        return ""
    if not settings.DATABASE_URL:
        return "there is no address of a database: run `make up`, or set DATABASE_URL"
    said = (str(exc).strip().splitlines() or [type(exc).__name__])[0]
    hint = "check DATABASE_URL" if settings.ENV.DATABASE_URL else "is `make up` running?"
    return f"the database does not answer: {hint} ({said})"


def bound_connections() -> None:
    """Bound the waiting on every connection that this process opens from now on.

    For the web: a frozen server would else hold its threads for ever, one request after the other. Workers, commands
    and migrations wait as long as their work takes.
    """
    connection_created.connect(_bound, dispatch_uid="core.database.bound")


def _bound(connection: BaseDatabaseWrapper, **_: Any) -> None:
    bound(connection, statement_seconds=STATEMENT_SECONDS, silence_seconds=SILENCE_SECONDS)


def bound(connection: BaseDatabaseWrapper, *, statement_seconds: float, silence_seconds: float) -> None:
    """Bound the waiting on an open connection: by the server, and by ourselves in case that it is silent."""
    raw: psycopg.Connection[Any] = connection.connection
    wait = raw.wait

    def wait_at_most(*args: Any, **options: Any) -> Any:
        try:
            return wait(*args, **{"timeout": silence_seconds, **options})
        except psycopg.errors._WaitTimeout as exc:  # noqa: SLF001  psycopg has no public name for it
            raw.pgconn.finish()   # what the server thinks is unknown: Django opens another one
            raise psycopg.OperationalError(f"no answer within {silence_seconds:g} s: the connection was given up") from exc

    raw.wait = wait_at_most  # type: ignore[method-assign]  # the only place through which all of its waiting goes
    with connection.cursor() as cursor:
        cursor.execute(_BOUND, {"statement": f"{statement_seconds * 1000:.0f}ms", "idle": f"{IDLE_SECONDS * 1000:.0f}ms"})
