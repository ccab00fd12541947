"""What putting a job costs its producer: one by one as web requests do, and many by one call, while no worker runs.

Then one by one beside workers that are stopped, and beside the same workers at work: their slots are full of jobs that
sleep, so that what a busy fleet adds to an enqueue is seen, and not how little of a processor is left for it.

And what no committed row is put faster than by this server, on this disk: rows of one short column, without an index.
"""

import statistics
import time
from collections.abc import Iterator

from bench import fleet
from bench.parts.drain import LEASE
from bench.run import Run
from bench.systems import System, numbered

CHUNK = 1000
WARM = 200
BACKLOG, LENGTH_MS = 4000, 5   # of both slots for as long as enqueueing takes


def run(run: Run) -> None:
    for number in range(run.options.rounds):
        for system in run.systems:
            system.purge()
            for item in numbered(WARM):
                system.enqueue(item)
            system.flush()
            for case in ("one by one", "bulk"):
                metrics = _measured(run, system, bulk=case == "bulk")
                run.results.note(part="enqueue", case=case, system=system.name, number=number, metrics=metrics)
        floor = {"bare_inserts_per_s": _bare(run)}
        run.results.note(part="enqueue", case="one by one", system=run.latchwork.name, number=number, metrics=floor)
    for system in run.systems:
        for number in range(run.options.rounds):
            for case, metrics in _beside(run, system):
                run.results.note(part="enqueue", case=case, system=system.name, number=number, metrics=metrics)
        system.purge()


def _bare(run: Run) -> float:
    """Return how many single INSERTs a second are committed when there is nothing else to them, by libpq's own call."""
    with run.stage.postgres.connect() as connection:
        connection.execute("CREATE TABLE bare (word text)")
        connection.pgconn.prepare(b"bare", b"INSERT INTO bare VALUES ($1)")
        speeds = []
        for _ in range(3):
            since = time.monotonic()
            for _ in range(CHUNK):
                connection.pgconn.exec_prepared(b"bare", [b"word"])
            speeds.append(CHUNK / (time.monotonic() - since))
        connection.execute("DROP TABLE bare")
    return statistics.median(speeds)


def _beside(run: Run, system: System) -> Iterator[tuple[str, dict[str, float]]]:
    system.purge()
    with fleet.workers(system, run.layout, pool=run.options.pool, log=run.log, environment=LEASE) as crew:
        fleet.warm(system, crew, run.layout, pool=run.options.pool, log=run.log)
        system.enqueue_many(numbered(BACKLOG, length_ms=LENGTH_MS))
        system.flush()
        crew.freeze()
        yield "beside stopped workers", _measured(run, system, bulk=False)
        crew.thaw()
        before = run.stage.stamps.count()
        run.stage.stamps.wait(before + 20, seconds=60)   # at work again
        yield "beside busy workers", _measured(run, system, bulk=False)


def _measured(run: Run, system: System, *, bulk: bool) -> dict[str, float]:
    pids = [server.process.pid for server in run.stage.servers if server.process]
    chunks = 10 if bulk else 3
    speeds = []
    producer, servers = time.process_time(), fleet.cpu(fleet.tree(pids))
    for chunk in range(chunks):
        items = numbered(CHUNK, first=chunk * CHUNK)
        since = time.monotonic()
        if bulk:
            system.enqueue_many(items)
        else:
            for item in items:
                system.enqueue(item)
        speeds.append(CHUNK / (time.monotonic() - since))
    producer, servers = time.process_time() - producer, fleet.cpu(fleet.tree(pids)) - servers
    system.flush()
    jobs = chunks * CHUNK
    return {
        "jobs_per_s": statistics.median(speeds),
        "producer_us_per_job": producer / jobs * 1e6,
        "servers_us_per_job": servers / jobs * 1e6,
    }
