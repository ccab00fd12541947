"""The one job body that both systems run, and the only witness of what they did.

A start appends one record to a file in memory (O_APPEND, so that writers never mix); a job with a length also appends
one at its end. What a system says of itself is not used to count.
"""

import os
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

RECORD = struct.Struct("<qqqdd")   # job number, 0 = start or 1 = end, process, when it was enqueued, now
VARIABLE = "BENCH_STAMPS"
START, END = 0, 1
_file = -1


class Stamp(NamedTuple):
    number: int
    kind: int
    pid: int
    enqueued: float
    at: float


def body(number: int, enqueued: float, length_ms: float) -> None:
    """Run a job."""
    _append(number, START, enqueued)
    if length_ms:
        time.sleep(length_ms / 1000)
        _append(number, END, enqueued)


def _append(number: int, kind: int, enqueued: float) -> None:
    global _file  # noqa: PLW0603  one file a process
    if _file < 0:
        _file = os.open(os.environ[VARIABLE], os.O_WRONLY | os.O_APPEND)
    os.write(_file, RECORD.pack(number, kind, os.getpid(), enqueued, time.time()))


@dataclass(frozen=True, slots=True)
class Stamps:
    """The file, as the measuring process reads it."""

    path: Path

    def clear(self) -> None:
        """Forget all: workers that have it open go on at its beginning."""
        with self.path.open("wb"):
            pass

    def count(self) -> int:
        return self.path.stat().st_size // RECORD.size

    def read(self) -> list[Stamp]:
        return list(self._whole())

    def wait(self, count: int, *, seconds: float, every: float = 0.005) -> bool:
        """Wait for so many records; whether they came in time."""
        until = time.monotonic() + seconds
        while self.count() < count:
            if time.monotonic() > until:
                return False
            time.sleep(every)
        return True

    def _whole(self) -> Iterator[Stamp]:
        data = self.path.read_bytes()
        for record in RECORD.iter_unpack(data[:len(data) // RECORD.size * RECORD.size]):
            yield Stamp(*record)
