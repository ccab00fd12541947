"""What putting a job costs its producer, while no worker runs: one by one as web requests do, and many by one call."""

import statistics
import time

from bench import fleet
from bench.run import Run
from bench.systems import System, numbered

CHUNK = 1000
WARM = 200


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
    for system in run.systems:
        system.purge()


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
