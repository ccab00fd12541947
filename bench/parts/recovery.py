"""What a SIGKILL of every worker costs: how many jobs are lost, run twice, and how long until all are done.

2,000 jobs of 5 ms; everything is killed when 40 % have finished, and new workers start half a second later. Celery
takes back what was in its workers' hands after its visibility timeout of an hour, and never what had been
acknowledged: it is waited for only as long as something still finishes.
"""

import time
from collections import Counter

from bench import fleet
from bench.run import Run
from bench.stamps import END, START
from bench.systems import System, numbered

JOBS, LENGTH_MS, SHARE = 2000, 5, 0.4
LEASE_SECONDS = 5
PAUSE_SECONDS = 0.5
PATIENCE_SECONDS = 20     # without anything finishing
DOUBLES_SECONDS = 1.5     # after the last one, for those that come twice


def run(run: Run) -> None:
    for number in range(run.options.rounds):
        for system in run.systems:
            metrics = _measured(run, system)
            run.results.note(
                part="recovery", case="SIGKILL", layout=str(run.layout), system=system.name, number=number, metrics=metrics,
            )


def _measured(run: Run, system: System) -> dict[str, float]:
    environment = {"JOBS_LEASE_SECONDS": str(LEASE_SECONDS)}
    stamps = run.stage.stamps
    system.purge()
    system.enqueue_many(numbered(JOBS, length_ms=LENGTH_MS))
    system.flush()
    with fleet.workers(system, run.layout, pool=run.options.pool, log=run.log, environment=environment):
        if not stamps.wait(int(JOBS * SHARE) * 2, seconds=120, every=0.002):
            raise fleet.NotReady(system.name, run.log)
    found = stamps.read()
    started = {stamp.number for stamp in found if stamp.kind == START}
    ended = {stamp.number for stamp in found if stamp.kind == END}
    time.sleep(PAUSE_SECONDS)
    since = time.time()
    with fleet.workers(system, run.layout, pool=run.options.pool, log=run.log, environment=environment):
        last = _settled(run)
        time.sleep(DOUBLES_SECONDS)
    starts = Counter(stamp.number for stamp in stamps.read() if stamp.kind == START)
    done = {stamp.number for stamp in stamps.read() if stamp.kind == END}
    return {
        "lost": JOBS - len(done), "doubled": sum(count > 1 for count in starts.values()),
        "running_at_kill": len(started - ended), "last_done_s": last - since,
    }


def _settled(run: Run) -> float:
    """Wait until every job has finished or nothing has for a while, and return when the last one did."""
    stamps = run.stage.stamps
    seen, since = -1, time.monotonic()
    while time.monotonic() - since < PATIENCE_SECONDS:
        done = [stamp for stamp in stamps.read() if stamp.kind == END]
        if len(done) > seen:
            seen, since = len(done), time.monotonic()
        if len({stamp.number for stamp in done}) == JOBS:
            break
        time.sleep(0.05)
    return max(stamp.at for stamp in stamps.read() if stamp.kind == END)
