"""A database for locks, beside those of Django."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit

import psycopg

from locks.stores.postgresql import create_schema


@contextmanager
def fresh() -> Iterator[str]:
    """Make a database with the schema of locks, and remove it."""
    url = os.environ["DATABASE_URL"]
    name = f"locks_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        try:
            parts = urlsplit(url)
            own = urlunsplit(parts._replace(path=f"/{name}"))
            create_schema(own)
            yield own
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
