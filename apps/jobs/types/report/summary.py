"""`jobs_summary`: how many jobs were created, what has become of them, how long they waited and ran."""

from collections.abc import Sequence

from apps.jobs.lifecycle import Status
from apps.jobs.types.report.by import NARROWED, RUN, WAIT, JobFilters
from apps.jobs.types.report.reading import Snapshot
from apps.jobs.types.report.registry import Asked, report
from apps.jobs.types.report.tables import Bars, Column, Table


class SummaryFilters(JobFilters):
    """Jobs as they stand now."""

    status: Status | None = None


_QUERY = f"""
SELECT type, queue, status, jobs, attempts, failures,
  round(waits[1]::numeric, 6)::float8, round(waits[2]::numeric, 6)::float8, round(waits[3]::numeric, 6)::float8,
  round(runs[1]::numeric, 6)::float8, round(runs[2]::numeric, 6)::float8, round(runs[3]::numeric, 6)::float8
FROM (
  SELECT type, queue, status, count(*) AS jobs, sum(attempt) AS attempts, sum(failures) AS failures,
    percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY wait) AS waits,
    percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY run) AS runs
  FROM (
    SELECT j.type, j.queue, j.status, j.attempt, j.failures, {WAIT} AS wait, {RUN} AS run
    FROM job j
    WHERE j.created_at >= %(since)s AND j.created_at < %(until)s AND {NARROWED}
      AND (%(status)s::text IS NULL OR j.status = %(status)s::text)) each
  GROUP BY type, queue, status) grouped
ORDER BY type, queue, status"""

_COLUMNS = (
    Column("type", 24), Column("queue", 14), Column("status", 12), Column("jobs"), Column("attempts"), Column("failures"),
    Column("wait_p50_seconds"), Column("wait_p95_seconds"), Column("wait_p99_seconds"),
    Column("run_p50_seconds"), Column("run_p95_seconds"), Column("run_p99_seconds"),
)


@report("jobs_summary", title="Jobs by type, queue and status", filters=SummaryFilters)
def jobs_summary(snapshot: Snapshot, asked: Asked) -> Sequence[Table]:
    """Count the jobs that were created in the period, with percentiles of their latest attempt."""
    params = {**asked.filters.params, "status": asked.filters.status, "since": asked.since, "until": asked.until}
    charts = (
        Bars(title="Jobs by status", label=("status",), value="jobs"),
        Bars(title="Jobs by type", label=("type",), value="jobs"),
        Bars(title="Wait, p95 in seconds", label=("type", "queue", "status"), value="wait_p95_seconds"),
        Bars(title="Run, p95 in seconds", label=("type", "queue", "status"), value="run_p95_seconds"),
    )
    return [Table(name="jobs", columns=_COLUMNS, rows=snapshot.rows(_QUERY, params), charts=charts)]
