"""Shared memory in which a child tells how far a hand-over of several jobs has come.

One tray serves one hand-over. The child writes before each job that it begins it, and after each job how it ended; so
whatever happens to the child, the main process knows what has ended, what ran, and what was never begun. The main process
may recall what is not begun, to give it to others.

Both sides write first and read afterwards, so that no job is both begun by the child and taken back (Dekker's protocol;
taking a lock between the two is the memory barrier that it needs).
"""

import mmap
import pickle
import struct
from threading import Lock
from typing import Any

from core import clock

SIZE = 1024 * 1024
TRAYS = 64
_LENGTH = struct.Struct("I")
_BEGUN, _ENDED, _LIMIT = range(3)   # among the numbers
_OPENED, _SINCE = range(2)          # among the times
_TIMES_AT, _DATA = 16, 32


class Tray:
    """One hand-over's page of shared memory; the system gives it memory as far as it is written."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, SIZE)
        # Not struct.pack_into(): it writes zeros before the value, and the other process would read them.
        self._numbers = memoryview(self._memory)[:_TIMES_AT].cast("I")
        self._times = memoryview(self._memory)[_TIMES_AT:_DATA].cast("d")
        self._barrier = Lock()
        self._end = self._read_to = _DATA    # where the child writes next; where the main process reads next

    # The main process.

    def lay(self, jobs: int) -> None:
        """Lay out a hand-over of so many jobs."""
        self._memory[:_DATA] = bytes(_DATA)
        self._numbers[_LIMIT] = jobs
        self._read_to = _DATA

    def begun(self) -> int:
        """Return how many jobs were begun."""
        return self._numbers[_BEGUN]

    def ended(self) -> int:
        """Return how many jobs have ended."""
        return self._numbers[_ENDED]

    def running(self) -> tuple[int, float] | None:
        """Return the number of the job that runs and for how many seconds it has; None when none does.

        Said to a job on the board before this was asked: either this sees the job run, or the child sees what was said.
        """
        with self._barrier:
            pass
        while True:
            begun = self.begun()
            since = self._times[_SINCE]
            if begun <= self.ended():
                return None
            if begun == self.begun():   # else the time may be that of the next one
                return begun - 1, max(0.0, clock.elapsed() - since)

    def open_seconds(self) -> float:
        """Return how long ago the child has opened it; 0 while it has not."""
        opened = self._times[_OPENED]
        return max(0.0, clock.elapsed() - opened) if opened else 0.0

    def take(self, seen: int) -> list[Any]:
        """Return what was told of jobs that have ended since `seen` of them had."""
        told = []
        for _ in range(self.ended() - seen):
            length = _LENGTH.unpack_from(self._memory, self._read_to)[0]
            start = self._read_to + _LENGTH.size
            told.append(pickle.loads(self._memory[start:start + length]))  # noqa: S301  written by our own child
            self._read_to = start + length
        return told

    def recall(self) -> int:
        """Let the child begin nothing more; the number of jobs that it has begun or may have begun.

        Never raises what an earlier one has left: a child that is about to hear no has already counted the job.
        """
        limit = self._numbers[_LIMIT]
        self._numbers[_LIMIT] = min(limit, self.begun())
        with self._barrier:
            return self.begun()

    # The child.

    def open(self) -> None:
        """Begin to write; the main process has laid it out."""
        self._end = _DATA
        self._times[_OPENED] = clock.elapsed()

    def begin(self, number: int) -> bool:
        """Begin the job of that number (from 0); False when it was recalled, and must not be begun."""
        self._times[_SINCE] = clock.elapsed()
        self._numbers[_BEGUN] = number + 1
        with self._barrier:
            allowed = number < self._numbers[_LIMIT]
        if not allowed:
            self.leave(number)
        return allowed

    def leave(self, number: int) -> None:
        """Take back that the job of that number was begun: its handler was not called."""
        self._numbers[_BEGUN] = number

    def end(self, told: Any) -> bool:
        """Tell how a job ended; False when there is no room for it here."""
        data = pickle.dumps(told, protocol=5)
        if self._end + _LENGTH.size + len(data) > SIZE:
            return False
        _LENGTH.pack_into(self._memory, self._end, len(data))
        start = self._end + _LENGTH.size
        self._memory[start:start + len(data)] = data
        self._end = start + len(data)
        self._numbers[_ENDED] = self.ended() + 1   # after the data: it is what makes them be read
        return True


class Trays:
    """All trays of a worker: made before the pool forks."""

    def __init__(self, count: int = TRAYS) -> None:
        self._trays = [Tray() for _ in range(count)]
        self._free = list(range(count))

    def __getitem__(self, number: int) -> Tray:
        return self._trays[number]

    def left(self) -> bool:
        """Return whether there is a tray for one more hand-over."""
        return bool(self._free)

    def get(self) -> int:
        """Take a tray for a hand-over."""
        return self._free.pop()

    def put(self, number: int) -> None:
        """Return a tray whose hand-over is over."""
        self._free.append(number)
