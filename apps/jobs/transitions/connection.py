"""Connections of the platform's own threads: apart from Django's, so that each belongs to one thread alone."""

from typing import Any

import psycopg
from django.db import connections

_DJANGOS = ("context", "cursor_factory", "prepare_threshold", "server_side_binding", "pool", "assume_role", "isolation_level")


def connect(application_name: str, *, statement_timeout_seconds: float = 5.0, planner: str = "") -> psycopg.Connection[Any]:
    """Open an autocommit connection with bounded waits; the caller alone uses and closes it.

    `planner` holds further server options, such as `-c enable_seqscan=off`. Raise psycopg's own errors.
    """
    params = {
        name: value for name, value in connections["default"].get_connection_params().items() if name not in _DJANGOS
    }
    options = f"-c statement_timeout={int(statement_timeout_seconds * 1000)} -c lock_timeout=2000 -c timezone=UTC {planner}"
    params |= {
        "application_name": application_name[:63],
        "connect_timeout": 3,
        "options": f"{params.get('options', '')} {options}".strip(),
        # A server that is gone without a word is noticed in seconds, not in the kernel's two hours.
        "keepalives": 1, "keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3,
        "tcp_user_timeout": 10_000,
    }
    connection = psycopg.connect(**params, autocommit=True)
    connection.prepare_threshold = 1
    return connection
