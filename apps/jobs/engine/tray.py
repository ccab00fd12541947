"""Shared memory in which a child tells how far a hand-over of several jobs has come.

One tray serves one hand-over. The child writes before each job that it begins it, and after each job how it ended; so
whatever happens to the child, the main process knows what has ended, what ran, and what was never begun. The main process
may recall what is not begun, to give it to others. On a shelf (see `shelf`) the trays outlive the worker itself.

Both sides write first and read afterwards, so that no job is both begun by the child and taken back (Dekker's protocol;
taking a lock between the two is the memory barrier that it needs).
"""

import errno
import mmap
import os
import pickle
import struct
from collections.abc import Callable
from threading import Lock
from typing import Any

from core import clock

SIZE = 1024 * 1024
TRAYS = 64
VERSION = 1   # of what is written: raise it with any change, for a worker may read what one of another version has left
GROWTH = 16 * 1024   # of a tray in a file: its system is asked for room, for what it has no room for would kill who writes it
SPARE = 4            # the part of the file's system that is left to others: a fourth
_LENGTH = struct.Struct("I")
_BEGUN, _ENDED, _LIMIT = range(3)   # among the numbers
_OPENED, _SINCE = range(2)          # among the times
_TIMES_AT, _DATA = 16, 32


class Tray:
    """One hand-over's page of shared memory; the system gives it memory as far as it is written.

    `memory` is `SIZE` bytes that outlive the process, from `offset` on of a `file` that grows as it is written; raise
    `OSError` where that has no room. Without a file all of it is there.
    """

    def __init__(self, memory: memoryview | None = None, file: int | None = None, *, offset: int = 0) -> None:
        self._memory = memoryview(mmap.mmap(-1, SIZE)) if memory is None else memory
        self._file, self._offset = file, offset
        self._room = SIZE if file is None else 0
        if not self._has_room(_DATA):
            raise OSError(errno.ENOSPC, "no room for a tray")
        # Not struct.pack_into(): it writes zeros before the value, and the other process would read them.
        self._numbers = self._memory[:_TIMES_AT].cast("I")
        self._times = self._memory[_TIMES_AT:_DATA].cast("d")
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
        size = self._end + _LENGTH.size + len(data)
        if size > self._room and not self._has_room(size):
            return False
        _LENGTH.pack_into(self._memory, self._end, len(data))
        start = self._end + _LENGTH.size
        self._memory[start:start + len(data)] = data
        self._end = start + len(data)
        self._numbers[_ENDED] = self.ended() + 1   # after the data: it is what makes them be read
        return True

    def _has_room(self, size: int) -> bool:
        """Whether so many bytes can be written; each process asks for itself, and asking for what is there costs little."""
        if self._file is not None and self._room < size <= SIZE:
            more = min(SIZE, max(size, self._room + GROWTH)) - self._room
            try:
                system = os.fstatvfs(self._file)
                if system.f_bavail * SPARE < system.f_blocks:
                    return False
                os.posix_fallocate(self._file, self._offset + self._room, more)
            except OSError:
                return False
            self._room += more
        return size <= self._room

    def close(self) -> None:
        """Let go of the memory."""
        for view in (self._numbers, self._times, self._memory):
            view.release()


class Trays:
    """All trays of a worker: made before the pool forks."""

    def __init__(self, count: int = TRAYS) -> None:
        self._trays = [Tray() for _ in range(count)]
        self._free = list(range(count))
        self._resting: list[tuple[int, Callable[[], bool]]] = []   # of hand-overs that are over; the oldest first
        self._lending = Lock()   # what has failed in a pool of threads is given back by its thread

    def __len__(self) -> int:
        return len(self._trays)

    def __getitem__(self, number: int) -> Tray:
        return self._trays[number]

    def move(self, file: int, *, offset: int) -> None:
        """Lie in a file from now on, `SIZE` bytes each, which stays open. Call it before the first is lent.

        Raise `OSError` where there is no room; then they lie where they lay.
        """
        memory = memoryview(mmap.mmap(file, len(self) * SIZE, offset=offset))
        self._trays = [
            Tray(memory[at:at + SIZE], file, offset=offset + at) for at in range(0, len(self) * SIZE, SIZE)
        ]

    def left(self) -> bool:
        """Return whether there is a tray for one more hand-over."""
        return bool(self._free or self._resting)

    def get(self) -> int:
        """Take a tray for a hand-over: of those whose endings nobody needs any more, while there is one."""
        with self._lending:
            if self._resting:
                self._free += [number for number, needed in self._resting if not needed()]
                self._resting = [each for each in self._resting if each[0] not in self._free]
            return self._free.pop() if self._free else self._resting.pop(0)[0]

    def put(self, number: int, *, needed: Callable[[], bool]) -> None:
        """Return a tray whose hand-over is over; while it is `needed`, what was told in it is not settled."""
        with self._lending:
            self._resting.append((number, needed))
