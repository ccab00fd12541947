"""What psycopg's cursors execute: what goes another way is not there."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest


@contextmanager
def executed() -> Iterator[list[Any]]:
    """Yield the statements that any cursor of this process executes meanwhile."""
    seen: list[Any] = []
    execute = psycopg.Cursor.execute

    def spied(self: Any, query: Any, *arguments: Any, **options: Any) -> Any:
        seen.append(query)
        return execute(self, query, *arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(psycopg.Cursor, "execute", spied)
        yield seen
