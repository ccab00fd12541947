"""Whether the table stays as fast as it began: jobs stream through it, and each tenth of them is accounted for.

The same number of jobs always waits, from before the first tenth until after the last, so that every tenth holds the
same work: so many rows put, fetched and settled. With `--pin` it is done again while another connection holds its
snapshot, as a forgotten transaction or a long dump does: nothing that dies meanwhile can be removed.
"""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import psycopg

from bench import fleet, tenths
from bench.fleet import Fleet
from bench.parts.drain import Unfinished, spent
from bench.run import Run
from bench.stage import Stage
from bench.systems import numbered

WAITING = 5000
CHUNK = 1000
TENTHS = 10
PATIENCE_SECONDS = 60     # without one job
PAUSE_SECONDS = 0.005
SIZES = """
SELECT (SELECT sum(pg_relation_size(name)) FROM unnest('{job_ready,job_due,job_held}'::regclass[]) AS name) / 1048576.0,
  pg_indexes_size('job') / 1048576.0, pg_table_size('job') / 1048576.0,
  n_dead_tup, autovacuum_count,
  coalesce((SELECT max(age(backend_xmin)) FROM pg_stat_activity WHERE pid <> pg_backend_pid()), 0)
FROM pg_stat_user_tables WHERE relname = 'job'"""
METRICS = ("hot_indexes_mib", "indexes_mib", "table_mib", "dead_tuples", "autovacuums", "xmin_age")


@dataclass(slots=True)
class Stream:
    """A producer that keeps so many jobs waiting."""

    run: Run
    put: int = 0
    started: int = 0
    moved_at: float = field(default_factory=time.monotonic)

    def until(self, count: int) -> int:
        """Go on until so many jobs have started; return how many have."""
        stamps = self.run.stage.stamps
        while self.look(stamps.count()) < count or self.put - self.started < WAITING:
            if self.put - self.started < WAITING:
                self.run.latchwork.enqueue_many(numbered(CHUNK, first=self.put))
                self.put += CHUNK
            else:
                time.sleep(PAUSE_SECONDS)
        return self.started

    def look(self, started: int) -> int:
        now = time.monotonic()
        if started > self.started:
            self.started, self.moved_at = started, now
        elif now - self.moved_at > PATIENCE_SECONDS:
            msg = f"churn: no job started for {PATIENCE_SECONDS} s, after {started}"
            raise Unfinished(msg)
        return started


class Pin:
    """Another connection's snapshot, held for so long."""

    def __init__(self, stage: Stage, *, seconds: float) -> None:
        self._connection = stage.postgres.connect()
        self._until = time.monotonic() + seconds
        self.holds = seconds > 0
        if self.holds:
            self._connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
            self._connection.execute("SELECT 1")   # the first statement takes the snapshot

    def let_go_in_time(self) -> None:
        if self.holds and time.monotonic() > self._until:
            self._connection.execute("ROLLBACK")
            self.holds = False

    def close(self) -> None:
        self._connection.close()


def run(run: Run) -> None:
    for case, seconds in (("", 0.0), *([("pinned, ", run.options.pin_seconds)] if run.options.pin_seconds else ())):
        run.latchwork.purge()
        with fleet.workers(run.latchwork, run.layout, pool=run.options.pool, log=run.log) as crew:
            fleet.warm(run.latchwork, crew, run.layout, pool=run.options.pool, log=run.log)
            with contextlib.closing(Pin(run.stage, seconds=seconds)) as pin:
                found = list(_measured(run, crew, pin, case=case))
        compared = tenths.ratios(found[0], found[-1])
        run.results.note(
            part="churn", case=f"{case}last to first", layout=str(run.layout), system="latchwork", metrics=compared,
        )
        run.results.say(f"churn: {case}{tenths.verdict(compared)}")
    run.latchwork.purge()


def _measured(run: Run, crew: Fleet, pin: Pin, *, case: str) -> Iterator[dict[str, float]]:
    stream = Stream(run)
    started = stream.until(2 * WAITING)   # until as many wait as always will, and the workers know how short these jobs are
    with run.stage.postgres.connect() as connection:
        vacuums = _sizes(connection)["autovacuums"]
        for tenth in range(1, TENTHS + 1):
            connection.execute("SELECT pg_stat_statements_reset()")
            before, since = spent(run, crew), time.monotonic()
            reached = stream.until(started + run.options.churn_jobs // TENTHS)
            took, after = time.monotonic() - since, spent(run, crew)
            jobs, started = reached - started, reached
            statements = connection.execute("SELECT query, total_exec_time FROM pg_stat_statements").fetchall()
            sizes = _sizes(connection)
            sizes["autovacuums"] -= vacuums
            main, children, servers = ((late - early) / jobs * 1e6 for late, early in zip(after, before, strict=True))
            metrics = {
                "jobs_per_s": jobs / took, "worker_us_per_job": main + children, "servers_us_per_job": servers,
                "all_us_per_job": main + children + servers, **tenths.sums(statements, jobs=jobs),
                **sizes, "pinned": float(pin.holds),
            }
            run.results.note(
                part="churn", case=f"{case}tenth {tenth}", layout=str(run.layout), system="latchwork", metrics=metrics,
            )
            yield metrics
            pin.let_go_in_time()


def _sizes(connection: psycopg.Connection[Any]) -> dict[str, float]:
    row = connection.execute(SIZES).fetchone() or ()
    return dict(zip(METRICS, map(float, row), strict=True))
