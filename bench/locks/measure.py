"""Run pairs over and over in several processes at once, the designs taking turns, and say how long each pair took."""

import logging
import multiprocessing
import queue
import random
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench.locks.pairs import PAIRS, Pair
from locks.stores.cassandra import Address

spawn = multiprocessing.get_context("spawn")
PATIENCE_SECONDS = 180.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """A stretch of time that belongs to one design, in all processes."""

    design: str
    round: int
    seconds: float
    turns: int = 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What one process does in each slice: use these names in turn, or new ones."""

    address: Address
    namespace: str
    names: tuple[str, ...] = ()
    warm: bool = False   # use each name once before a design's first slice


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What one process did in one slice."""

    process: int
    number: int
    latencies: tuple[float, ...]
    seconds: float
    cpu_seconds: float
    statements: int
    unknown: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What came of one design in one round: milliseconds of an acquire and its release, and how many a second in all processes."""

    p50_ms: float
    p99_ms: float
    pairs_per_s: float
    client_ms: float
    """Processor time of the clients for a pair."""
    pairs: int
    least_of_a_process: int
    most_of_a_process: int
    statements_per_pair: float
    unknown: int

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def measure(works: Sequence[Work], slices: Sequence[Slice], *, heard: Callable[[Slice, Figures], None]) -> None:
    """Run one process for each work through all slices, each begun together; tell the figures of each design and round."""
    barrier, results = spawn.Barrier(len(works)), spawn.Queue()
    processes = [
        spawn.Process(target=_run, args=(number, work, tuple(slices), barrier, results), daemon=True)
        for number, work in enumerate(works)
    ]
    for process in processes:
        process.start()
    done: dict[int, list[Done]] = {number: [] for number in range(len(slices))}
    for _ in range(len(works) * len(slices)):
        found = _next(results, processes, seconds=PATIENCE_SECONDS + max(each.seconds for each in slices))
        done[found.number].append(found)
        for each, numbers in _complete(slices, done, just=found.number, size=len(works)):
            heard(each, figures([done[number] for number in numbers]))
    for process in processes:
        process.join()


def figures(slices: Sequence[Sequence[Done]]) -> Figures:
    """Return the figures of some slices of one design, each done by the same processes."""
    every = [each for found in slices for each in found]
    taken = sorted(latency for each in every for latency in each.latencies)
    counts: dict[int, int] = {}
    for each in every:
        counts[each.process] = counts.get(each.process, 0) + len(each.latencies)
    return Figures(
        p50_ms=statistics.median(taken) * 1000, p99_ms=taken[min(len(taken) - 1, int(len(taken) * 0.99))] * 1000,
        pairs_per_s=len(taken) / sum(max(each.seconds for each in found) for found in slices),
        client_ms=sum(each.cpu_seconds for each in every) * 1000 / len(taken),
        pairs=len(taken), least_of_a_process=min(counts.values()), most_of_a_process=max(counts.values()),
        statements_per_pair=sum(each.statements for each in every) / len(taken), unknown=sum(each.unknown for each in every),
    )


def _complete(
    slices: Sequence[Slice], done: dict[int, list[Done]], *, just: int, size: int,
) -> Iterator[tuple[Slice, list[int]]]:
    """Yield the slice that was just heard of with all of its design and round, if all of them are done by all."""
    alike = [number for number, each in enumerate(slices) if (each.design, each.round) == (slices[just].design, slices[just].round)]
    if all(len(done[number]) == size for number in alike):
        yield slices[just], alike


def _next(results: Any, processes: Sequence[Any], *, seconds: float) -> Done:
    give_up = time.monotonic() + seconds
    while time.monotonic() < give_up:
        try:
            found: Done = results.get(timeout=1.0)
        except queue.Empty:
            if failed := [process.name for process in processes if process.exitcode]:
                raise RuntimeError(f"{', '.join(failed)} ended with an error") from None
        else:
            return found
    raise TimeoutError(f"nothing was heard of {len(processes)} processes for {seconds:.0f} s")


def _run(process: int, work: Work, slices: tuple[Slice, ...], barrier: Any, results: Any) -> None:
    logging.disable(logging.CRITICAL)
    random.seed()
    pairs: dict[str, Pair] = {}
    turns: dict[str, int] = {}
    for number, each in enumerate(slices):
        if each.design not in pairs:
            pairs[each.design] = _connected(work, each.design)
        barrier.wait(PATIENCE_SECONDS)
        done = _done(process, number, work, each, pairs[each.design], first=turns.get(each.design, 0))
        turns[each.design] = turns.get(each.design, 0) + len(done.latencies)
        results.put(done)
        if each.design not in {later.design for later in slices[number + 1:]}:
            pairs.pop(each.design).close()   # so that an idle connection of one design does not disturb the next


def _connected(work: Work, design: str) -> Pair:
    pair: Pair = PAIRS[design](work.address, work.namespace)
    pair.connection.session(PATIENCE_SECONDS)
    for name in (f"connecting-{random.random()}", *(work.names if work.warm else ())):
        pair.acquire(name)
        pair.release()
    return pair


def _done(process: int, number: int, work: Work, each: Slice, pair: Pair, *, first: int) -> Done:
    pair.statements.clear()
    latencies: list[float] = []
    began, cpu = time.monotonic(), time.process_time()
    while len(latencies) < each.turns and time.monotonic() < began + each.seconds:
        turn = first + len(latencies)
        name = work.names[turn % len(work.names)] if work.names else f"new-{process}-{turn}"
        start = time.perf_counter()
        pair.acquire(name)
        pair.release()
        latencies.append(time.perf_counter() - start)
    seconds, cpu = time.monotonic() - began, time.process_time() - cpu
    unknown = pair.statements.pop("(unknown)", 0)
    return Done(
        process=process, number=number, latencies=tuple(latencies), seconds=seconds, cpu_seconds=cpu,
        statements=sum(pair.statements.values()), unknown=unknown,
    )
