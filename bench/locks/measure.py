"""Run a pair over and over in several processes at once, and say how long each took."""

import logging
import multiprocessing
import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench.locks.pairs import PAIRS
from locks.stores.cassandra import Address

spawn = multiprocessing.get_context("spawn")
PATIENCE_SECONDS = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What came of one measurement: milliseconds of an acquire and its release, and how many a second in all processes."""

    p50_ms: float
    p99_ms: float
    pairs_per_s: float
    least_of_a_process: int
    most_of_a_process: int
    statements_per_pair: float
    unknown: int

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What one process does: use these names in turn, for some seconds or so many turns."""

    address: Address
    design: str
    namespace: str
    names: tuple[str, ...]
    seconds: float
    turns: int = 10**9
    warm: bool = False   # use each name once before the clock runs


def measure(works: Sequence[Work]) -> Figures:
    """Run one process for each work, all beginning together."""
    barrier, results = spawn.Barrier(len(works)), spawn.Queue()
    processes = [spawn.Process(target=_loop, args=(work, barrier, results), daemon=True) for work in works]
    for process in processes:
        process.start()
    answers = [results.get(timeout=PATIENCE_SECONDS + work.seconds) for work in works]
    for process in processes:
        process.join()
    taken = sorted(each for latencies, *_ in answers for each in latencies)
    wall = max(seconds for _, seconds, *_ in answers)
    counts = [len(latencies) for latencies, *_ in answers]
    return Figures(
        p50_ms=statistics.median(taken) * 1000, p99_ms=taken[min(len(taken) - 1, int(len(taken) * 0.99))] * 1000,
        pairs_per_s=len(taken) / wall, least_of_a_process=min(counts), most_of_a_process=max(counts),
        statements_per_pair=sum(statements for *_, statements, _ in answers) / len(taken),
        unknown=sum(unknown for *_, unknown in answers),
    )


def _loop(work: Work, barrier: Any, results: Any) -> None:
    logging.disable(logging.CRITICAL)
    random.seed()
    pair = PAIRS[work.design](work.address, work.namespace)
    pair.connection.session(PATIENCE_SECONDS)
    pair.acquire(f"connecting-{random.random()}")
    pair.release()
    if work.warm:
        for name in work.names:
            pair.acquire(name)
            pair.release()
    barrier.wait(PATIENCE_SECONDS)
    pair.statements.clear()
    latencies: list[float] = []
    began = time.monotonic()
    while len(latencies) < work.turns and time.monotonic() < began + work.seconds:
        start = time.perf_counter()
        pair.acquire(work.names[len(latencies) % len(work.names)])
        pair.release()
        latencies.append(time.perf_counter() - start)
    seconds = time.monotonic() - began
    unknown = pair.statements.pop("(unknown)", 0)
    results.put((latencies, seconds, sum(pair.statements.values()), unknown))
    pair.close()
