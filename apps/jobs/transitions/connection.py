"""Connections of the platform's own threads: apart from Django's, so that each belongs to one thread alone."""

from typing import Any

import psycopg
from django.db import connections

KEEPALIVES = "-c tcp_keepalives_idle=5 -c tcp_keepalives_interval=2 -c tcp_keepalives_count=3"
TRANSACTION_SECONDS = 8.0   # of the engine's and the dispatcher's, which last milliseconds
TRANSACTION_TIMEOUT_SINCE = 170000
# Where a database answers before its disk does, a crash would forget claims, and the same fence be given twice; where it does not
# wait for its standby, a failover would.
_DURABLE = "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') IN ('off', 'local')"
_DJANGOS = ("context", "cursor_factory", "prepare_threshold", "server_side_binding", "pool", "assume_role", "isolation_level")


def connect(
    application_name: str, *, statement_timeout_seconds: float = 5.0, transaction_timeout_seconds: float | None = None,
    planner: str = "",
) -> psycopg.Connection[Any]:
    """Open an autocommit connection with bounded waits; the caller alone uses and closes it.

    The server ends a transaction after `transaction_timeout_seconds`, where it can (PostgreSQL 17): a process that was frozen
    inside one would keep its rows, and its own from being declared dead, for as long as it is frozen.
    `planner` holds further server options, such as `-c enable_seqscan=off`. Raise psycopg's own errors.
    """
    params = {
        name: value for name, value in connections["default"].get_connection_params().items() if name not in _DJANGOS
    }
    options = (
        f"-c statement_timeout={int(statement_timeout_seconds * 1000)} -c lock_timeout=2000 -c timezone=UTC {KEEPALIVES} {planner}"
    )
    params |= {
        "application_name": application_name[:63],
        "connect_timeout": 3,
        "options": f"{params.get('options', '')} {options}".strip(),
        # A server that is gone without a word is noticed in seconds, not in the kernel's two hours, and so are we by it.
        "keepalives": 1, "keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3,
        "tcp_user_timeout": 10_000,
    }
    connection = psycopg.connect(**params, autocommit=True)
    connection.prepare_threshold = 1
    connection.execute(_DURABLE)
    if transaction_timeout_seconds is not None and connection.info.server_version >= TRANSACTION_TIMEOUT_SINCE:
        connection.execute("SELECT set_config('transaction_timeout', %s, false)", [f"{transaction_timeout_seconds * 1000:.0f}ms"])
    return connection
