"""Who is in these tests: somebody else's connection, and a way to see another transaction's locks."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from tests.support.factories import own_connection


@pytest.fixture
def other() -> Iterator[psycopg.Connection[Any]]:
    """Somebody else's connection to the test database; needs committed rows."""
    with own_connection("other") as connection:
        yield connection


@pytest.fixture
def third() -> Iterator[psycopg.Connection[Any]]:
    """One more."""
    with own_connection("third") as connection:
        yield connection


@pytest.fixture
def held_by(other):
    """Return a context manager in which somebody else's transaction holds a job's row, as an edit or a handler does."""

    @contextmanager
    def hold(job_id: object, *, strength: str = "NO KEY UPDATE") -> Iterator[None]:
        with other.transaction():
            other.execute(f"SELECT FROM job WHERE id = %s FOR {strength}", [job_id])
            yield

    return hold
