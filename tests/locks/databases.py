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
    with empty() as url:
        create_schema(url)
        yield url


@contextmanager
def empty() -> Iterator[str]:
    """Make a database, and remove it."""
    url = os.environ["DATABASE_URL"]
    name = f"locks_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        try:
            parts = urlsplit(url)
            yield urlunsplit(parts._replace(path=f"/{name}"))
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
