"""How fast locks are here: acquire and release, again and again, by several threads, and what that took."""

import statistics
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from core import clock
from core.ids import uuid7
from core.locking.errors import LocksAway
from core.locking.opening import open_locks
from locks import LockError, Locks

LEASE = timedelta(seconds=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What was measured."""

    pairs: int
    failed: int
    seconds: float
    pairs_a_second: float
    acquire_p50_ms: float
    acquire_p99_ms: float
    release_p50_ms: float
    release_p99_ms: float


class Trial:
    """Threads that each use names of their own, or all the same one."""

    def __init__(self, *, threads: int, names: int, seconds: float, contended: bool) -> None:
        self._threads, self._seconds = threads, seconds
        run = uuid7()
        self._names = [f"bench:{run}:{number}" for number in range(1 if contended else max(threads, names))]
        self._acquires: list[float] = []
        self._releases: list[float] = []
        self._failed = 0
        self._guard = threading.Lock()

    def run(self) -> Figures:
        """Measure, take our names away again, and say what it was; raise `LocksAway` when nothing could be acquired."""
        locks = open_locks(owner="locks_bench")
        try:
            locks.acquire(self._names[0], lease=LEASE).release()   # connect
            began = clock.elapsed()
            workers = [
                threading.Thread(target=self._work, args=(locks, self._names[number::self._threads] or self._names, began))
                for number in range(self._threads)
            ]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()
            took = clock.elapsed() - began
            for name in self._names:
                locks.purge(name, by="locks_bench")
        except LockError as exc:
            raise LocksAway(str(exc)) from exc
        finally:
            locks.close()
        if not self._acquires:
            raise LocksAway("nothing was acquired")
        return Figures(
            pairs=len(self._acquires), failed=self._failed, seconds=round(took, 3),
            pairs_a_second=round(len(self._acquires) / took, 1),
            acquire_p50_ms=_ms(self._acquires, 50), acquire_p99_ms=_ms(self._acquires, 99),
            release_p50_ms=_ms(self._releases, 50), release_p99_ms=_ms(self._releases, 99),
        )

    def _work(self, locks: Locks, names: Sequence[str], began: float) -> None:
        turn = 0
        while clock.elapsed() - began < self._seconds:
            name = names[turn % len(names)]
            turn += 1
            first = time.perf_counter()
            try:
                lease = locks.acquire(name, lease=LEASE)
            except LockError:
                with self._guard:
                    self._failed += 1
                continue
            second = time.perf_counter()
            lease.release()
            third = time.perf_counter()
            with self._guard:
                self._acquires.append(second - first)
                self._releases.append(third - second)


def _ms(seconds: list[float], percent: int) -> float:
    if len(seconds) == 1:
        return round(seconds[0] * 1000, 2)
    return round(statistics.quantiles(seconds, n=100, method="inclusive")[percent - 1] * 1000, 2)
