"""Take back what silent workers held.

Two steps, each safe to repeat and to run in any number of places. First, workers whose lease ended are marked as
ended; from then on their heartbeat and their fetches are refused. Second, whatever an ended worker still holds is
returned under no fence, so that nothing the old attempt sends can match the row again. A claim that committed beside
the first step is found by the next second step.
"""

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from apps.jobs.lifecycle import FINISHED
from apps.jobs.transitions.heads import passed_on
from apps.jobs.transitions.settle import NEXT
from apps.jobs.transitions.statement import TALLY, Execute, Reply, quoted


@dataclass(frozen=True, slots=True)
class Rescued:
    """A job taken back from a worker that fell silent, and where it went."""

    id: uuid.UUID
    queue: str
    status: str


# `until` is the caller's last look at the database's clock and a little more: a statement that a stalled server
# executes late, when the workers had no chance to renew, ends nobody. Who was seen in the future was seen by a clock that has
# gone back since: whoever lives has been seen again.
_END = """
UPDATE job_worker w SET ended_at = clock_timestamp(), end_reason = 'its lease ended'
FROM (SELECT id FROM job_worker WHERE ended_at IS NULL
        AND (lease_until < (SELECT clock_timestamp()) OR seen_at > (SELECT clock_timestamp()) + interval '2 s')
        AND clock_timestamp() < %(until)s ORDER BY id FOR NO KEY UPDATE SKIP LOCKED) silent
WHERE w.id = silent.id RETURNING w.id"""

_RESCUE = f"""
WITH RECURSIVE holder(worker_id) AS (
  (SELECT worker_id FROM job WHERE status = 'running' ORDER BY worker_id LIMIT 1)
  UNION ALL
  SELECT (SELECT j.worker_id FROM job j WHERE j.status = 'running' AND j.worker_id > h.worker_id
          ORDER BY j.worker_id LIMIT 1)
  FROM holder h WHERE h.worker_id IS NOT NULL),
gone AS MATERIALIZED (
  SELECT worker_id FROM holder WHERE worker_id IS NOT NULL
  AND NOT EXISTS (SELECT FROM job_worker w WHERE w.id = holder.worker_id AND w.ended_at IS NULL)),
lost AS MATERIALIZED (
  SELECT j.* FROM job j WHERE j.status = 'running' AND j.worker_id IN (SELECT worker_id FROM gone)
  ORDER BY j.id LIMIT %(limit)s FOR NO KEY UPDATE SKIP LOCKED),
moved AS (
  UPDATE job j SET status = {NEXT.format(outcome="'worker_lost'", delay="0")}, rescues = j.rescues + 1, fence = NULL,
    worker_id = NULL, error = %(error)s::jsonb,
    finished_at = CASE WHEN {NEXT.format(outcome="'worker_lost'", delay="0")} IN ({quoted(*FINISHED)})
      THEN clock_timestamp() END
  FROM lost WHERE j.id = lost.id RETURNING j.id, j.queue, j.type, j.status, j.lock_key),
kept AS (
  INSERT INTO job_attempt (job_id, number, fence, worker_id, lock_token, outcome, error, started_at, finished_at)
  SELECT id, attempt, fence, worker_id, lock_token, 'worker_lost', %(error)s::jsonb, started_at, clock_timestamp() FROM lost
  ON CONFLICT DO NOTHING),
counted AS (
  SELECT type, queue, CASE WHEN status IN ({quoted(*FINISHED)}) THEN status ELSE 'worker_lost' END AS event,
    0::float8 AS seconds FROM moved),
{TALLY}
SELECT id, queue, status, lock_key FROM moved"""


def end_silent_workers(execute: Execute, *, until: datetime) -> Reply[list[uuid.UUID]]:
    """Mark workers whose lease has ended, unless the database's clock has passed `until`."""
    return Reply(execute(_END, {"until": until}), lambda rows: [row[0] for row in rows])


def rescue(execute: Execute, *, rescue_cap: int, limit: int, error: str) -> Reply[list[Rescued]]:
    """Return the running jobs of ended workers to their queues, or to where their budget leads: there they keep no lock's place."""
    params = {"rescue_cap": rescue_cap, "limit": limit, "error": error, "tally": uuid.uuid4()}

    def read(rows: list[Any]) -> list[Rescued]:
        passed_on(execute, (key for _, _, status, key in rows if status in FINISHED))
        return [Rescued(*row[:3]) for row in rows]

    return Reply(execute(_RESCUE, params), read)
