"""Remove what retention no longer keeps, in batches small enough to disturb nobody."""

import uuid
from datetime import timedelta

from apps.jobs.transitions.statement import Execute, Reply

_JOBS = """
WITH old AS MATERIALIZED (
  SELECT id FROM job WHERE finished_at < (SELECT clock_timestamp()) - %(keep)s AND status IN ('completed', 'cancelled')
  ORDER BY finished_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED),
attempts AS (DELETE FROM job_attempt a USING old WHERE a.job_id = old.id)
DELETE FROM job j USING old WHERE j.id = old.id RETURNING j.id"""

_LEDGER = """
DELETE FROM job_stale_write WHERE id IN (
  SELECT id FROM job_stale_write WHERE at < (SELECT clock_timestamp()) - %(keep)s ORDER BY at LIMIT %(limit)s)
RETURNING id"""

_WORKERS = """
DELETE FROM job_worker w WHERE w.ended_at < (SELECT clock_timestamp()) - %(keep)s
  AND NOT EXISTS (SELECT FROM job j WHERE j.status = 'running' AND j.worker_id = w.id) RETURNING w.id"""

# Minutes of many workers become hours of nobody in particular, hours become days: the sums stay what they are.
_COMPACT = """
WITH old AS (
  DELETE FROM job_tally WHERE minute < date_trunc(%(unit)s, (SELECT clock_timestamp()) - %(keep)s)
    AND (worker_id <> %(nobody)s OR minute <> date_trunc(%(unit)s, minute))
  RETURNING *),
sums AS (
  SELECT date_trunc(%(unit)s, minute) AS minute, type, queue, event, sum(count)::bigint AS count, sum(seconds) AS seconds
  FROM old GROUP BY 1, 2, 3, 4),
merged AS (
  INSERT INTO job_tally (minute, worker_id, type, queue, event, count, seconds)
  SELECT minute, %(nobody)s, type, queue, event, count, seconds FROM sums ORDER BY minute, type, queue, event
  ON CONFLICT (minute, worker_id, type, queue, event)
  DO UPDATE SET count = job_tally.count + EXCLUDED.count, seconds = job_tally.seconds + EXCLUDED.seconds)
SELECT count(*) FROM old"""

NOBODY = uuid.UUID(int=0)


def prune_jobs(execute: Execute, *, keep: timedelta, limit: int) -> Reply[int]:
    """Delete completed and cancelled jobs that ended longer ago, with their attempts. Dead letters stay."""
    return Reply(execute(_JOBS, {"keep": keep, "limit": limit}), len)


def prune_ledger(execute: Execute, *, keep: timedelta, limit: int) -> Reply[int]:
    """Delete refused writes that are older."""
    return Reply(execute(_LEDGER, {"keep": keep, "limit": limit}), len)


def prune_workers(execute: Execute, *, keep: timedelta) -> Reply[int]:
    """Delete rows of workers that ended longer ago and hold nothing."""
    return Reply(execute(_WORKERS, {"keep": keep}), len)


def compact_tallies(execute: Execute, *, keep: timedelta, unit: str) -> Reply[int]:
    """Merge tallies older than `keep` into one row an hour or a day (`unit`), type, queue and event."""
    return Reply(execute(_COMPACT, {"keep": keep, "unit": unit, "nobody": NOBODY}), lambda rows: rows[0][0])
