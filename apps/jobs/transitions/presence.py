"""A worker's row: its start, its heartbeat, what it holds, its end; and the dispatcher's sign of life."""

import uuid
from dataclasses import dataclass
from typing import Any, NamedTuple

from apps.jobs.transitions.statement import Execute, Reply


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What a worker says of itself when it starts; `types` is JSON text: names with payload versions."""

    id: uuid.UUID
    name: str
    host: str
    pid: int
    pool: str
    slots: int
    queues: list[str]
    types: str
    code_version: str
    metrics_port: int | None


class Held(NamedTuple):
    """A job that the database says this worker holds."""

    id: str
    fence: int
    cancel: bool


_START = """
INSERT INTO job_worker (id, name, host, pid, pool, slots, queues, types, code_version, metrics_port, started_at, seen_at,
  lease_until, end_reason)
VALUES (%(id)s, %(name)s, %(host)s, %(pid)s, %(pool)s, %(slots)s, %(queues)s, %(types)s::jsonb, %(code_version)s,
  %(metrics_port)s, clock_timestamp(), clock_timestamp(), clock_timestamp() + %(lease)s * interval '1 s', '')
ON CONFLICT (id) DO NOTHING"""

# A worker that was declared dead stays dead: it starts anew under another row.
_BEAT = """
UPDATE job_worker SET seen_at = clock_timestamp(), lease_until = clock_timestamp() + %(lease)s * interval '1 s',
  queues = %(queues)s
WHERE id = %(id)s AND ended_at IS NULL RETURNING true"""

_ROLL = """
SELECT id::text, fence, cancel_requested_at IS NOT NULL FROM job WHERE worker_id = %(id)s AND status = 'running'"""

_ENDED = """
SELECT id::text, fence FROM job
WHERE id = ANY(%(ids)s::uuid[]) AND worker_id = %(id)s AND finished_at IS NOT NULL AND fence IS NOT NULL"""

_STOPPING = "UPDATE job_worker SET stopping_at = clock_timestamp() WHERE id = %(id)s AND ended_at IS NULL"

_END = """
UPDATE job_worker SET ended_at = clock_timestamp(), end_reason = %(reason)s WHERE id = %(id)s AND ended_at IS NULL"""

_SIGN = """
INSERT INTO job_duty (name, done_at, by) VALUES (%(name)s, clock_timestamp(), %(by)s)
ON CONFLICT (name) DO UPDATE SET done_at = clock_timestamp(), by = EXCLUDED.by"""

_AGE = "SELECT extract(epoch FROM clock_timestamp() - done_at)::float8 FROM job_duty WHERE name = %(name)s"

# Whoever moves the time on has taken the turn. A time in the future is from before the clock went back.
_TURN = """
INSERT INTO job_duty (name, done_at, by) VALUES (%(name)s, clock_timestamp(), %(by)s)
ON CONFLICT (name) DO UPDATE SET done_at = clock_timestamp(), by = EXCLUDED.by
WHERE job_duty.done_at < clock_timestamp() - %(every)s * interval '1 s' OR job_duty.done_at > clock_timestamp() + interval '2 s'
RETURNING true"""

_BEGIN = """
INSERT INTO job_duty (name, done_at, by) VALUES (%(name)s, clock_timestamp(), %(by)s) ON CONFLICT (name) DO NOTHING"""

_QUEUES = "SELECT name FROM job_queue ORDER BY name"

DISPATCH = "dispatch"
UNDERSTUDY = "dispatch.understudy"


def start(execute: Execute, worker: Start, *, lease_seconds: float) -> None:
    """Insert the row of a worker's start."""
    params = {name: getattr(worker, name) for name in Start.__slots__}
    execute(_START, {**params, "lease": lease_seconds})


def beat(execute: Execute, *, worker: uuid.UUID, lease_seconds: float, queues: list[str]) -> Reply[bool]:
    """Renew the lease; False when the worker was declared dead meanwhile."""
    return Reply(execute(_BEAT, {"id": worker, "lease": lease_seconds, "queues": queues}), bool)


def roll(execute: Execute, *, worker: uuid.UUID) -> Reply[list[Held]]:
    """Return what the database says this worker holds."""
    return Reply(execute(_ROLL, {"id": worker}), _held)


def ended(execute: Execute, *, worker: uuid.UUID, ids: list[str]) -> Reply[set[tuple[str, int]]]:
    """Return which of these jobs have ended under this worker, each with its fence."""
    return Reply(execute(_ENDED, {"id": worker, "ids": ids}), lambda rows: {(row[0], row[1]) for row in rows})


def stopping(execute: Execute, *, worker: uuid.UUID) -> None:
    """Say that the worker takes nothing new."""
    execute(_STOPPING, {"id": worker})


def end(execute: Execute, *, worker: uuid.UUID, reason: str) -> None:
    """End a worker's row; whatever it still holds is rescued at the dispatcher's next look."""
    execute(_END, {"id": worker, "reason": reason})


def sign(execute: Execute, *, name: str, by: str) -> None:
    """Sign that a duty is being done."""
    execute(_SIGN, {"name": name, "by": by})


def age(execute: Execute, *, name: str) -> Reply[float | None]:
    """Return the seconds since a duty was last signed, by the database's clock; None when it never was."""
    return Reply(execute(_AGE, {"name": name}), lambda rows: rows[0][0] if rows else None)


def begin(execute: Execute, *, name: str, by: str) -> None:
    """Start the first period of a periodic duty that nobody has ever done; later this changes nothing."""
    execute(_BEGIN, {"name": name, "by": by})


def take_turn(execute: Execute, *, name: str, by: str, every_seconds: float) -> Reply[bool]:
    """Take the turn of a periodic duty; of all who ask in one period, one is told True."""
    return Reply(execute(_TURN, {"name": name, "by": by, "every": every_seconds}), bool)


def queues(execute: Execute) -> Reply[list[str]]:
    """Return the queues that rows name."""
    return Reply(execute(_QUEUES, {}), lambda rows: [row[0] for row in rows])


def _held(rows: list[Any]) -> list[Held]:
    return [Held(*row) for row in rows]
