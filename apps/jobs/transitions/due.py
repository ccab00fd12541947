"""Move due rows to queued, and look at what waits: the dispatcher's statements, safe for any number of dispatchers."""

import uuid
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from apps.jobs.lifecycle import DUE, Status
from apps.jobs.transitions.heads import passed_on
from apps.jobs.transitions.statement import TALLY, Execute, Reply, quoted

# (SELECT clock_timestamp()): read once, so that the index is used.
_MOVE = f"""
WITH d AS MATERIALIZED (
  SELECT id FROM job WHERE status IN ({quoted(*DUE)}) AND run_at <= (SELECT clock_timestamp() + %(lead)s::float8 * interval '1 s')
  ORDER BY run_at LIMIT %(limit)s FOR NO KEY UPDATE SKIP LOCKED),
moved AS (
  UPDATE job j SET status = CASE WHEN j.cancel_requested_at IS NULL THEN 'queued' ELSE 'cancelled' END,
    finished_at = CASE WHEN j.cancel_requested_at IS NOT NULL THEN clock_timestamp() END
  FROM d WHERE j.id = d.id RETURNING j.type, j.queue, j.status, j.behind, j.lock_key),
counted AS (
  SELECT type, queue, 'cancelled' AS event, 0::float8 AS seconds FROM moved WHERE status = '{Status.CANCELLED.value}'),
{TALLY}
SELECT queue, count(*) FILTER (WHERE NOT behind), array_agg(DISTINCT lock_key) FILTER (WHERE behind) FROM moved WHERE status = '{Status.QUEUED.value}'
  AND NOT EXISTS (SELECT FROM job_queue p WHERE p.name = moved.queue AND p.paused_at IS NOT NULL) GROUP BY queue"""

_NEXT = f"""
SELECT clock_timestamp(), extract(epoch FROM min(run_at) - clock_timestamp())::float8
FROM job WHERE status IN ({quoted(*DUE)})"""

# One step in the index for each queue, not a look at every row.
_NEGLECTED = """
WITH RECURSIVE q(queue) AS (
  (SELECT queue FROM job WHERE status = 'queued' ORDER BY queue LIMIT 1)
  UNION ALL
  SELECT (SELECT j.queue FROM job j WHERE j.status = 'queued' AND j.queue > q.queue ORDER BY j.queue LIMIT 1)
  FROM q WHERE q.queue IS NOT NULL)
SELECT queue FROM q WHERE queue IS NOT NULL
  AND NOT EXISTS (SELECT FROM job_queue p WHERE p.name = q.queue AND p.paused_at IS NOT NULL)
  AND EXISTS (SELECT FROM generate_series(0, 9) AS level(priority) CROSS JOIN LATERAL (
    SELECT j.run_at FROM job j
    WHERE j.status = 'queued' AND j.queue = q.queue AND NOT j.behind AND j.priority = level.priority
    ORDER BY j.run_at LIMIT 1) oldest
    WHERE oldest.run_at < (SELECT clock_timestamp()) - interval '1 s')"""


@dataclass(frozen=True, slots=True)
class Outlook:
    """The database's clock, and the seconds until the next row is due (None: no row waits for its time)."""

    now: datetime
    next_due_seconds: float | None


def move(execute: Execute, *, limit: int, lead_seconds: float = 0.0) -> Reply[dict[str, int]]:
    """Move due rows; the reply says how many became ready in each queue, paused ones left out: nobody rings for them,
    nor for those that stand behind another job of their lock.

    With a lead it also moves what is due within it: a claim says how long its row is still to be held back.
    """

    def read(rows: list[Any]) -> dict[str, int]:
        heads = passed_on(execute, (key for _, _, keys in rows for key in keys or ()))
        return dict(heads + Counter({queue: ready for queue, ready, _ in rows}))

    return Reply(execute(_MOVE, {"limit": limit, "lead": lead_seconds, "tally": uuid.uuid4()}), read)


def outlook(execute: Execute) -> Reply[Outlook]:
    """Ask what time it is, and when the next row is due."""
    return Reply(execute(_NEXT, {}), lambda rows: Outlook(*rows[0]))


def clock(execute: Execute) -> Reply[datetime]:
    """Ask what time it is, and nothing that could take long."""
    return Reply(execute("SELECT clock_timestamp()", {}), lambda rows: rows[0][0])


def neglected(execute: Execute) -> Reply[list[str]]:
    """Return the queues that are not paused and have a row which has been ready for longer than a second."""
    return Reply(execute(_NEGLECTED, {}), _names)


def _names(rows: list[Any]) -> list[str]:
    return [row[0] for row in rows]
