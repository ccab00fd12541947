"""What is said when the database is not there."""

import psycopg
from django.conf import settings
from django.db import Error


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
