"""`jobs_failures`: which errors ended attempts, how often, with an example of each; on demand every single one."""

from collections.abc import Sequence

from apps.jobs.lifecycle import FAILURES, Status
from apps.jobs.transitions.statement import quoted
from apps.jobs.types.report.by import NARROWED, JobFilters, Word
from apps.jobs.types.report.reading import Snapshot
from apps.jobs.types.report.registry import Asked, report
from apps.jobs.types.report.tables import Bars, Column, Table

MESSAGE = 1000   # characters of a message; all of it stands on the job


class FailureFilters(JobFilters):
    """Failed attempts."""

    status: Status | None = None
    """Of their job, as it stands now: `dead_letter` for what was never made good."""
    error: Word | None = None
    """The error's class."""
    details: bool = False
    """Add a table with a row for each failed attempt."""


# Literal outcomes and not a parameter: the index on failures by time has them as its condition.
_FAILED = f"""
FROM job_attempt a JOIN job j ON j.id = a.job_id
WHERE a.outcome IN ({quoted(*FAILURES)}) AND a.finished_at >= %(since)s AND a.finished_at < %(until)s AND {NARROWED}
  AND (%(status)s::text IS NULL OR j.status = %(status)s::text)
  AND (%(error)s::text IS NULL OR coalesce(a.error->>'class', a.outcome) = %(error)s::text)"""

_MESSAGE = """
left({row}.error->>'message', {most}) || CASE WHEN length({row}.error->>'message') > {most} THEN '…' ELSE '' END"""

_ERRORS = f"""
WITH failed AS (
  SELECT a.id, a.job_id, a.finished_at, coalesce(a.error->>'class', a.outcome) AS error, j.type, j.status {_FAILED}),
grouped AS (
  SELECT error, type, count(*) AS failures, count(DISTINCT job_id) AS jobs,
    count(DISTINCT job_id) FILTER (WHERE status = 'dead_letter') AS dead_letters,
    min(finished_at) AS first_at, max(finished_at) AS last_at, max(id) AS example
  FROM failed GROUP BY error, type)
SELECT g.error, g.type, g.failures, g.jobs, g.dead_letters, g.first_at, g.last_at, e.job_id,
  {_MESSAGE.format(row='e', most=MESSAGE)}
FROM grouped g JOIN job_attempt e ON e.id = g.example
ORDER BY g.failures DESC, g.error, g.type"""

_DETAILS = f"""
SELECT a.finished_at, a.job_id, j.type, j.queue, a.number, a.outcome, coalesce(a.error->>'class', a.outcome),
  {_MESSAGE.format(row='a', most=MESSAGE)},
  round(extract(epoch FROM a.finished_at - a.started_at), 6)::float8, j.status {_FAILED}
ORDER BY a.finished_at, a.id"""

_ERROR_COLUMNS = (
    Column("error", 28), Column("type", 22), Column("failures"), Column("jobs"), Column("dead_letters"),
    Column("first_at", 27), Column("last_at", 27), Column("example_job", 37), Column("example_message", 60),
)
_DETAIL_COLUMNS = (
    Column("at", 27), Column("job", 37), Column("type", 22), Column("queue", 14), Column("attempt"), Column("outcome", 12),
    Column("error", 26), Column("message", 52), Column("run_seconds", 12), Column("job_status", 12),
)


@report("jobs_failures", title="Failed attempts by error", filters=FailureFilters)
def jobs_failures(snapshot: Snapshot, asked: Asked) -> Sequence[Table]:
    """Group the attempts that failed in the period by their error's class and their job's type."""
    given = asked.filters
    params = {
        **given.params, "status": given.status, "error": given.error, "since": asked.since, "until": asked.until,
    }
    charts = (
        Bars(title="Failed attempts by error", label=("error",), value="failures"),
        Bars(title="Failed attempts by type", label=("type",), value="failures"),
    )
    tables = [Table(name="errors", columns=_ERROR_COLUMNS, rows=snapshot.rows(_ERRORS, params), charts=charts)]
    if given.details:
        tables.append(Table(name="failures", columns=_DETAIL_COLUMNS, rows=snapshot.rows(_DETAILS, params)))
    return tables
