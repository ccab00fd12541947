"""Shared memory of a worker, made before the pool forks: what the main process says to each job, and which of them has begun."""

import mmap
import os
from array import array
from enum import IntEnum
from threading import Lock

from core import clock

PLACES = 8192     # all trays full, and a fourth of that alone
FENCES_SIZE = PLACES * 8   # whole pages
_PLACES_AT = 16   # after the deadline and the life


class Word(IntEnum):
    """What the main process has to say about a running job."""

    GO_ON = 0
    CANCEL = 1
    LOST = 2
    TIMED_OUT = 3


class Board:
    """The end of the lease, the life of the worker that it covers, and one byte for each running job.

    A byte is written by one process and read by another: there is nothing to lock, and so nothing that a fork could
    leave locked. Only a fork shares it, so a worker that would start its children in another way is refused.

    Beside it a child writes down the fence of each job that it begins, for whoever finds the worker dead: on a shelf (see
    `shelf`) they outlive it.
    """

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _PLACES_AT + PLACES)
        # Not struct.pack_into(): it writes zeros before the value, and a child would read that the lease has ended.
        self._deadline = memoryview(self._memory)[:8].cast("d")
        self._life = memoryview(self._memory)[8:_PLACES_AT].cast("q")
        # A ring: a place rests for as long as it can, so that what ended there is settled before its fence is written over.
        self._free = array("H", range(PLACES))   # 16 KiB; as a list of numbers 300, which each worker copies
        self._taken = self._given = 0            # so many times
        self._ring = Lock()                      # in a pool of threads each gives back by itself
        self._begun = memoryview(mmap.mmap(-1, FENCES_SIZE)).cast("q")

    def move_fences(self, file: int, *, offset: int) -> None:
        """Keep the fences in a file from now on, which has `FENCES_SIZE` bytes there. Call it before the first job begins."""
        self._begun = memoryview(mmap.mmap(file, FENCES_SIZE, offset=offset)).cast("q")

    def trust_until(self, deadline: float) -> None:
        """Say until when, on `clock.elapsed`, this worker may believe that its jobs are its own."""
        self._deadline[0] = deadline

    def trusted(self) -> bool:
        """Return whether the lease may still be believed."""
        return clock.elapsed() < self._deadline[0]

    def live(self, life: int) -> None:
        """Say that the worker was declared dead and begins anew: what an earlier life of it claimed belongs to others.

        Say it before the next `trust_until`: the lease of a new life does not cover what an old one claimed, and a thread
        that was frozen before its handler's first line may wake after both.
        """
        self._life[0] = life

    def may_begin(self, place: int, life: int) -> bool:
        """Return whether a handler may begin: the lease covers its claim, and nobody has said anything else to the job."""
        return self.trusted() and life == self._life[0] and self.read(place) is Word.GO_ON   # in this order: see `live`

    def take(self) -> int:
        """Take a place for a job that is handed over."""
        with self._ring:
            if self._taken - self._given >= PLACES:
                raise IndexError("every place is taken")
            place = self._free[self._taken % PLACES]
            self._taken += 1
        self._memory[_PLACES_AT + place] = Word.GO_ON
        return place

    def give(self, place: int) -> None:
        """Return a place once nobody reads it any more."""
        with self._ring:
            self._free[self._given % PLACES] = place
            self._given += 1

    def begin(self, place: int, fence: int) -> None:
        """Write down that the job with this fence begins: no two claims have the same one."""
        self._begun[place] = fence

    def say(self, place: int, word: Word) -> None:
        """Say something to the job at a place."""
        self._memory[_PLACES_AT + place] = word

    def read(self, place: int) -> Word:
        """Return what was last said to the job at a place."""
        return Word(self._memory[_PLACES_AT + place])


def begun_in(file: int, *, offset: int) -> set[int]:
    """Return the fences of jobs that had begun, ended or not, as they stand in a file."""
    return set(memoryview(os.pread(file, FENCES_SIZE, offset)).cast("q")) - {0}
