"""Claim the next ready rows of a queue, in order, for one worker."""

import time
import uuid
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any, NamedTuple

from apps.jobs.transitions.direct import array
from apps.jobs.transitions.statement import Execute, Reply


class Position(NamedTuple):
    """A place in a queue's order."""

    priority: int
    run_at: datetime
    id: uuid.UUID


HEAD = Position(-1, datetime(1, 1, 1, tzinfo=UTC), uuid.UUID(int=0))


class Claim(NamedTuple):
    """A job as its attempt gets it, held under `fence` from the commit of the fetch on: a tuple, as it travels often."""

    id: str
    fence: int
    attempt: int
    failures: int
    rescues: int
    max_attempts: int
    type: str
    payload: str
    queue: str
    priority: int
    run_at: datetime
    timeout_seconds: float
    request_id: str
    not_before: float | None = None
    """For a row that was claimed shortly before its moment: that moment, on this process's monotonic clock."""
    lock_key: str | None = None
    lock_token: int | None = None
    """Of the lock that the attempt will run under: its own, or the one that stands for the worker."""
    life: int = 0
    """In which life of its worker it was claimed: a worker that was declared dead begins another."""

    @property
    def position(self) -> Position:
        return Position(self.priority, self.run_at, uuid.UUID(self.id))


# SKIP LOCKED passes over a row that somebody holds: it stays in its place, and a later fetch finds it.
# The sequence is read under the row's lock, so that a later claim of a job has the greater fence.
# A ready row whose moment is far away was made so by somebody's hand, and is not held for hours.
_FETCH = """
WITH next AS MATERIALIZED (
  SELECT id FROM job
  WHERE status = 'queued' AND queue = %(queue)s AND NOT behind
    AND (priority, run_at, id) > (%(priority)s::smallint, %(run_at)s::timestamptz, %(id)s::uuid)
    AND type || '@' || payload_version = ANY(%(types)s::text[])
    AND cancel_requested_at IS NULL
    AND NOT EXISTS (SELECT FROM job_queue WHERE name = %(queue)s AND paused_at IS NOT NULL)
    AND EXISTS (SELECT FROM job_worker WHERE id = %(worker)s AND ended_at IS NULL)
  ORDER BY priority, run_at, id LIMIT %(limit)s FOR NO KEY UPDATE SKIP LOCKED)
UPDATE job j SET status = 'running', attempt = attempt + 1, fence = nextval('job_fence'), worker_id = %(worker)s,
  started_at = greatest(clock_timestamp(), run_at), progress = NULL, lock_token = %(token)s::bigint
FROM next WHERE j.id = next.id
RETURNING j.id::text, j.fence, j.attempt, j.failures, j.rescues, j.max_attempts, j.type, j.payload::text, j.queue,
  j.priority, j.run_at, j.timeout_seconds, j.request_id,
  CASE WHEN j.run_at > clock_timestamp() AND j.run_at < clock_timestamp() + interval '1 min'
    THEN extract(epoch FROM j.run_at - clock_timestamp())::float8 END,
  j.lock_key, j.lock_token"""


_ORDER = attrgetter("priority", "run_at", "id")


def fetch(
    execute: Execute, *, worker: uuid.UUID, queue: str, types: list[str], limit: int, after: Position = HEAD, token: int | None = None,
    life: int = 0,
) -> Reply[list[Claim]]:
    """Claim up to `limit` rows behind `after`; `types` are names with versions, as `email.send@1`.

    `token` is that of the lock which stands for the worker, if one does; it is kept with each attempt. Each claim is
    told the worker's `life`.
    """
    params = {   # as text, so that it may go `straight`
        "worker": str(worker), "queue": queue, "types": array(types), "limit": str(limit),
        "priority": str(after.priority), "run_at": after.run_at.isoformat(), "id": str(after.id),
        "token": None if token is None else str(token),
    }
    return Reply(execute(_FETCH, params), lambda rows: _in_order(rows, life))


def _in_order(rows: list[Any], life: int) -> list[Claim]:
    claims = sorted((Claim._make((*row, life)) for row in rows), key=_ORDER)   # as text an id is in the order of the server too
    if any(claim.not_before is not None for claim in claims):   # seconds by the database's clock, and a little ago
        now = time.monotonic()
        claims = [
            claim if claim.not_before is None else claim._replace(not_before=now + claim.not_before) for claim in claims
        ]
    return claims
