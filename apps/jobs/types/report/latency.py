"""`queue_latency`: how long jobs waited and ran, hour by hour or day by day, queue by queue."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Literal
from zoneinfo import ZoneInfo

from apps.jobs.types.report.by import NARROWED, RUN, WAIT, JobFilters
from apps.jobs.types.report.reading import Snapshot
from apps.jobs.types.report.registry import Asked, report
from apps.jobs.types.report.tables import Column, Lines, Table

HOURLY_UP_TO = timedelta(days=4)
Interval = Literal["hour", "day"]


class LatencyFilters(JobFilters):
    """Jobs, and how finely the period is cut."""

    interval: Interval | None = None
    """By default hours in a period of up to four days, else days."""


_QUERY = f"""
SELECT bucket, queue, jobs, started,
  round(waits[1]::numeric, 6)::float8, round(waits[2]::numeric, 6)::float8, round(waits[3]::numeric, 6)::float8,
  round(longest::numeric, 6)::float8,
  round(runs[1]::numeric, 6)::float8, round(runs[2]::numeric, 6)::float8, round(runs[3]::numeric, 6)::float8
FROM (
  SELECT bucket, queue, count(*) AS jobs, count(wait) AS started, max(wait) AS longest,
    percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY wait) AS waits,
    percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY run) AS runs
  FROM (
    SELECT width_bucket(j.created_at, %(starts)s::timestamptz[]) AS bucket, j.queue, {WAIT} AS wait, {RUN} AS run
    FROM job j
    WHERE j.created_at >= %(since)s AND j.created_at < %(until)s AND {NARROWED}) each
  GROUP BY bucket, queue) grouped
ORDER BY bucket, queue"""

_COLUMNS = (
    Column("from", 26), Column("to", 26), Column("queue", 16), Column("jobs"), Column("started"),
    Column("wait_p50_seconds"), Column("wait_p95_seconds"), Column("wait_p99_seconds"), Column("wait_max_seconds"),
    Column("run_p50_seconds"), Column("run_p95_seconds"), Column("run_p99_seconds"),
)


@report("queue_latency", title="Wait and run by queue, over time", filters=LatencyFilters)
def queue_latency(snapshot: Snapshot, asked: Asked) -> Sequence[Table]:
    """Cut the period by the clocks of the report's zone; jobs belong where they were created."""
    usual: Interval = "hour" if asked.until - asked.since <= HOURLY_UP_TO else "day"
    interval: Interval = asked.filters.interval or usual
    starts = list(cuts(asked.since, asked.until, zone=asked.zone, interval=interval))
    params = {**asked.filters.params, "since": asked.since, "until": asked.until, "starts": starts}
    spans = list(pairwise([*starts, asked.until]))
    rows = ([*spans[bucket - 1], *rest] for bucket, *rest in snapshot.rows(_QUERY, params))
    charts = (
        Lines(title="Wait, p95 in seconds", at="from", value="wait_p95_seconds", series="queue"),
        Lines(title="Run, p95 in seconds", at="from", value="run_p95_seconds", series="queue"),
        Lines(title="Jobs", at="from", value="jobs", series="queue"),
    )
    return [Table(name="latency", columns=_COLUMNS, rows=rows, charts=charts)]


def cuts(since: datetime, until: datetime, *, zone: ZoneInfo, interval: Interval) -> Iterator[datetime]:
    """Yield where each span begins: `since`, then every full hour, or every midnight of the zone, before `until`.

    A day is what the zone's calendar calls one: 23 or 25 hours where the clocks change. An hour is always an hour, so
    that the one which the clocks show twice is two.
    """
    at = since
    while at < until:
        yield at
        at = _midnight_after(at, zone) if interval == "day" else _hour_after(at, zone)


def _midnight_after(at: datetime, zone: ZoneInfo) -> datetime:
    day = at.astimezone(zone).date() + timedelta(days=1)
    midnight = datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)
    # Where the clocks leave out a midnight, or a whole day as islands have done, the next moment is the one after it.
    return midnight if midnight > at else at + timedelta(days=1)


def _hour_after(at: datetime, zone: ZoneInfo) -> datetime:
    local = at.astimezone(zone)
    into = timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
    return at + timedelta(hours=1) - into
