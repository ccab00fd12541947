"""How late a job with a delay starts, with beat running. Late is counted from the call of enqueue plus the delay;
early, for a row, from the moment that the row itself names."""

import time

from django.db import connection

from bench import fleet, handler
from bench.parts.latency import percentiles
from bench.run import Run
from bench.systems import Latchwork, System

DELAY_SECONDS = 3
SPREAD_SECONDS = 4       # they are put evenly over so long, so that the lateness is that of a clock, not of a crowd
PATIENCE_SECONDS = 30


def run(run: Run) -> None:
    for number in range(run.options.rounds):
        for system in run.systems:
            system.purge()
            with fleet.workers(system, run.layout, pool=run.options.pool, log=run.log) as crew, fleet.beat(system, log=run.log):
                fleet.warm(system, crew, run.layout, pool=run.options.pool, log=run.log)
                metrics = _measured(system, run.options.samples)
            run.results.note(
                part="delayed", case=f"{DELAY_SECONDS} s", layout=str(run.layout), system=system.name, number=number,
                metrics=metrics,
            )


def _measured(system: System, jobs: int) -> dict[str, float]:
    stamps = system.stage.stamps
    stamps.clear()
    since = time.time()
    for number in range(jobs):
        ahead = since + number * SPREAD_SECONDS / jobs - time.time()
        if ahead > 0:
            time.sleep(ahead)
        system.enqueue((number, time.time(), 0), delay=DELAY_SECONDS)
    stamps.wait(jobs, seconds=DELAY_SECONDS + PATIENCE_SECONDS)
    found = stamps.read()
    late = [stamp.at - stamp.enqueued - DELAY_SECONDS for stamp in found]
    due = _due() if isinstance(system, Latchwork) else {}
    early = [due.get(stamp.number, stamp.enqueued + DELAY_SECONDS) > stamp.at for stamp in found]
    return {
        **percentiles(late, 50, 95, 99), "early": sum(early), "missing": jobs - len(found),
    }


def _due() -> dict[int, float]:
    """Return the moment that each row was due, on the same machine's clock."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT (payload->>'number')::int, extract(epoch FROM run_at)::float8 FROM job WHERE type = %s", [handler.NAME],
        )
        return dict(cursor.fetchall())
