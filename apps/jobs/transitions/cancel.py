"""End waiting jobs at once, and ask running ones to stop."""

import uuid
from dataclasses import dataclass
from typing import Any

from apps.jobs.lifecycle import UNFINISHED, WAITING, Status
from apps.jobs.transitions.heads import passed_on
from apps.jobs.transitions.statement import TALLY, Execute, Reply, quoted


@dataclass(frozen=True, slots=True)
class Cancelled:
    """A job that heard of its cancellation, and whether that ended it."""

    id: uuid.UUID
    ended: bool


# The update's own WHERE is checked again on the row as it is once its lock is had: a job that was claimed meanwhile
# is asked, not ended.
_CANCEL = f"""
WITH asked AS (
  UPDATE job j SET cancel_requested_at = coalesce(j.cancel_requested_at, clock_timestamp()),
    status = CASE WHEN j.status IN ({quoted(*WAITING)}) THEN 'cancelled' ELSE j.status END,
    finished_at = CASE WHEN j.status IN ({quoted(*WAITING)}) THEN clock_timestamp() END,
    error = CASE WHEN j.status IN ({quoted(*WAITING)}) THEN %(error)s::jsonb ELSE j.error END
  FROM (SELECT id FROM job WHERE id = ANY(%(ids)s::uuid[]) AND status IN ({quoted(*UNFINISHED)})
        ORDER BY id FOR NO KEY UPDATE) found
  WHERE j.id = found.id RETURNING j.id, j.type, j.queue, j.status, j.lock_key, j.behind),
counted AS (
  SELECT type, queue, 'cancelled' AS event, 0::float8 AS seconds FROM asked WHERE status = '{Status.CANCELLED.value}'),
{TALLY}
SELECT id, status = '{Status.CANCELLED.value}', CASE WHEN NOT behind THEN lock_key END FROM asked"""


def cancel(execute: Execute, *, ids: list[uuid.UUID], error: str) -> Reply[list[Cancelled]]:
    """Cancel unfinished jobs; those that are missing in the reply were finished or do not exist."""

    def read(rows: list[Any]) -> list[Cancelled]:
        passed_on(execute, (key for _, ended, key in rows if ended))
        return [Cancelled(*row[:2]) for row in rows]

    return Reply(execute(_CANCEL, {"ids": ids, "error": error, "tally": uuid.uuid4()}), read)
