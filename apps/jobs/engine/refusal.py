"""What an error of the database is about: a value in a statement, or the database at this time."""

import psycopg


def about_a_value(exc: Exception) -> bool:
    """Return whether PostgreSQL, or the way to it, refused something in the batch rather than the batch at this time.

    A server that is read-only, full or gone says nothing about a result, and must not make it a failed one.
    """
    limit = isinstance(exc, psycopg.Error) and (exc.sqlstate or "").startswith("54")   # too deep or too large
    return limit or isinstance(exc, (psycopg.DataError, psycopg.IntegrityError, UnicodeError))
