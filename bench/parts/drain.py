"""How fast a full queue is worked off, and what that costs.

Workers are warm, then frozen; the queue is filled; they are thawed, and the clock runs until the last job has started
(Celery) or is settled (Latchwork). Systems take turns within a round, because a shared machine is fast in one minute
and slow in the next.
"""

import time
from collections.abc import Iterator

from bench import fleet, statements
from bench.fleet import Fleet
from bench.options import Layout
from bench.run import Run
from bench.systems import Latchwork, System, numbered

LONGEST_SECONDS = 300
CHUNK = 1000
# A worker that stood still for longer than its lease starts nothing and begins anew: filling takes a while.
LEASE = {"JOBS_LEASE_SECONDS": "600"}


class Unfinished(RuntimeError):
    """A drain did not come to its end."""


def run(run: Run) -> None:
    cases: list[tuple[System, str]] = [
        (run.plain, "any"), (run.latchwork, "bulk"), (run.latchwork, "one by one"),
        (run.alone, "bulk, one a hand-over"), (run.alone, "one by one, one a hand-over"),
    ]
    for number in range(run.options.rounds):
        for layout in run.options.layouts:
            turn = number % len(cases)
            for system, how in (*cases[turn:], *cases[:turn]):
                metrics = drain(run, system, layout, how=how, jobs=run.options.jobs, backlog=run.options.backlog)
                run.results.note(
                    part="drain", case=how, layout=str(layout), system=system.name, number=number, metrics=metrics,
                )


def drain(run: Run, system: System, layout: Layout, *, how: str, jobs: int, backlog: int = 0) -> dict[str, float]:
    """Measure one drain, with so many more jobs behind it."""
    system.purge()
    with fleet.workers(system, layout, pool=run.options.pool, log=run.log, environment=LEASE) as crew:
        fleet.warm(system, crew, layout, pool=run.options.pool, log=run.log)
        crew.freeze()
        if backlog and isinstance(system, Latchwork):
            system.wait_behind(backlog)
        _fill(system, how=how, jobs=jobs, length_ms=run.options.job_ms)
        statements.reset(run)
        before = spent(run, crew)
        since = time.monotonic()
        crew.thaw()
        _wait(system, jobs=jobs, records=jobs * (2 if run.options.job_ms else 1))
        took = time.monotonic() - since
        used = [after - earlier for after, earlier in zip(spent(run, crew), before, strict=True)]
        statements.keep(run, f"drain {layout} {system.name} {how}")
    main, children, servers = (each / jobs * 1e6 for each in used)
    return {
        "jobs_per_s": jobs / took,
        "worker_us_per_job": main + children,
        "main_us_per_job": main,
        "children_us_per_job": children,
        "servers_us_per_job": servers,
        "all_us_per_job": main + children + servers,
    }


def _fill(system: System, *, how: str, jobs: int, length_ms: float) -> None:
    if how.startswith("bulk"):
        for first in range(0, jobs, CHUNK):
            system.enqueue_many(numbered(min(CHUNK, jobs - first), first=first, length_ms=length_ms))
    else:
        for item in _one_by_one(jobs, length_ms):
            system.enqueue(item)
    system.flush()


def _one_by_one(jobs: int, length_ms: float) -> Iterator[tuple[int, float, float]]:
    for number in range(jobs):
        yield number, time.time(), length_ms


def _wait(system: System, *, jobs: int, records: int) -> None:
    stamps = system.stage.stamps
    until = time.monotonic() + LONGEST_SECONDS
    if not stamps.wait(records, seconds=LONGEST_SECONDS):
        msg = f"{system.name}: {stamps.count()} of {records} records after {LONGEST_SECONDS} s of draining {jobs} jobs"
        raise Unfinished(msg)
    while not system.finished():
        if time.monotonic() > until:
            msg = f"{system.name}: every job has run and not every one is settled after {LONGEST_SECONDS} s"
            raise Unfinished(msg)
        time.sleep(0.005)


def spent(run: Run, crew: Fleet) -> tuple[float, float, float]:
    """Return the CPU seconds of the workers' main processes, of their children and of the servers so far."""
    pids = [server.process.pid for server in run.stage.servers if server.process]
    return crew.main_cpu(), crew.child_cpu(), fleet.cpu(fleet.tree(pids))
