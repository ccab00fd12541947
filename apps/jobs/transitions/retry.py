"""What a person moves: a finished job back to queued, a waiting one to the front of its time, a dead letter away."""

import uuid
from collections.abc import Callable
from typing import Any

from apps.jobs.lifecycle import FINISHED, WAITING, Status
from apps.jobs.transitions.heads import passed_on
from apps.jobs.transitions.statement import TALLY, Execute, Reply, quoted

# The attempt on the row becomes history. `started_at` is null when the job never began, and then there is none.
_RETRY = f"""
WITH old AS MATERIALIZED (
  SELECT * FROM job WHERE id = ANY(%(ids)s::uuid[]) AND status IN ({quoted(*FINISHED)})
  ORDER BY id FOR NO KEY UPDATE),
kept AS (
  INSERT INTO job_attempt (job_id, number, fence, worker_id, lock_token, outcome, error, started_at, finished_at)
  SELECT id, attempt, fence, worker_id, lock_token, CASE WHEN status = 'completed' THEN 'completed'
    WHEN status = 'cancelled' THEN 'cancelled' ELSE 'discarded' END, error, started_at, finished_at
  FROM old WHERE fence IS NOT NULL AND started_at IS NOT NULL
  ON CONFLICT DO NOTHING),
moved AS (
  UPDATE job j SET status = 'queued', max_attempts = j.max_attempts + more.attempts, rescues = 0, run_at = clock_timestamp(),
    fence = NULL, worker_id = NULL, started_at = NULL, finished_at = NULL, cancel_requested_at = NULL, result = NULL,
    progress = NULL, behind = j.lock_key IS NOT NULL, lock_token = NULL
  FROM old JOIN unnest(%(types)s::text[], %(attempts)s::int[]) AS more(type, attempts) USING (type)
  WHERE j.id = old.id RETURNING j.id, j.queue, old.type, old.status, j.lock_key),
counted AS (SELECT type, queue, 'retried_' || status AS event, 0::float8 AS seconds FROM moved),
{TALLY}
SELECT id, queue, lock_key FROM moved"""

_RUN = f"""
UPDATE job j SET status = 'queued', run_at = least(j.run_at, clock_timestamp())
FROM (SELECT id FROM job WHERE id = ANY(%(ids)s::uuid[]) AND status IN ({quoted(*WAITING)})
      ORDER BY id FOR NO KEY UPDATE) found
WHERE j.id = found.id RETURNING j.id, j.queue, CASE WHEN j.behind THEN j.lock_key END"""

_DISCARD = f"""
WITH moved AS (
  UPDATE job j SET status = 'cancelled', finished_at = clock_timestamp()
  FROM (SELECT id FROM job WHERE id = ANY(%(ids)s::uuid[]) AND status = '{Status.DEAD_LETTER.value}'
        ORDER BY id FOR NO KEY UPDATE) found
  WHERE j.id = found.id RETURNING j.id, j.queue, j.type),
counted AS (SELECT type, queue, 'discarded' AS event, 0::float8 AS seconds FROM moved),
{TALLY}
SELECT id, queue FROM moved"""

Moved = dict[uuid.UUID, str]
"""The queue of each job that was moved; a missing one was in another status."""


def retry(execute: Execute, *, ids: list[uuid.UUID], attempts: dict[str, int]) -> Reply[Moved]:
    """Queue finished jobs again, raising `max_attempts` by the number given for each type; others stay.

    A unique key that an unfinished job has taken meanwhile raises the database's UniqueViolation.
    """
    types, numbers = list(attempts), list(attempts.values())
    params = {"ids": ids, "types": types, "attempts": numbers, "tally": uuid.uuid4()}
    return Reply(execute(_RETRY, params), _reader(execute))


def run(execute: Execute, *, ids: list[uuid.UUID]) -> Reply[Moved]:
    """Make waiting jobs ready now."""
    return Reply(execute(_RUN, {"ids": ids}), _reader(execute))


def discard(execute: Execute, *, ids: list[uuid.UUID]) -> Reply[Moved]:
    """Put dead letters away."""
    return Reply(execute(_DISCARD, {"ids": ids, "tally": uuid.uuid4()}), dict)


def _reader(execute: Execute) -> Callable[[list[Any]], Moved]:
    """Return what reads the moved rows, and lets those with a lock get the place of their key if nobody has it."""

    def read(rows: list[Any]) -> Moved:
        passed_on(execute, (key for _, _, key in rows))
        return {job_id: queue for job_id, queue, _ in rows}

    return read
