"""A folder in memory that is gone afterwards: what outlives a worker is written there, whatever room the disk has."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SHARED = Path("/dev/shm")   # noqa: S108  as workers do


@contextmanager
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="latchwork-tests-", dir=SHARED if SHARED.is_dir() else None) as made:
        yield Path(made)
