"""New rows, in the caller's transaction."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from apps.jobs.transitions import flush
from apps.jobs.transitions.direct import Direct, array
from apps.jobs.transitions.heads import passed_on
from apps.jobs.transitions.statement import Execute, Reply


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """A checked job that is not stored yet. `payload` is JSON text; without `run_at` it is due after `delay_seconds`."""

    id: uuid.UUID
    type: str
    queue: str
    priority: int
    max_attempts: int
    timeout_seconds: float
    payload: str
    payload_version: int
    delay_seconds: float
    run_at: datetime | None
    unique_key: str | None
    tags: list[str]
    request_id: str
    cron_id: int | None = None
    scheduled_for: datetime | None = None
    lock_key: str | None = None


# run_at differs from row to row, so that a fetch can go on between two rows of one statement.
_INSERT = """
INSERT INTO job (id, type, queue, priority, status, attempt, max_attempts, failures, rescues, timeout_seconds, run_at,
  created_at, unique_key, tags, payload, payload_version, request_id, cron_id, scheduled_for{more})
SELECT v.id, v.type, v.queue, v.priority, CASE WHEN v.due > clock_timestamp() THEN 'scheduled' ELSE 'queued' END,
  0, v.max_attempts, 0, 0, v.timeout_seconds, v.due, clock_timestamp(), v.unique_key, v.tags, v.payload,
  v.payload_version, v.request_id, v.cron_id, v.scheduled_for{values}
FROM (
  SELECT u.*, coalesce(u.run_at, clock_timestamp() + u.delay * interval '1 s') AS due
  FROM ({rows}) u ORDER BY u.number OFFSET 0) v{order}
ON CONFLICT DO NOTHING
RETURNING id, CASE WHEN status = 'scheduled' THEN extract(epoch FROM run_at - clock_timestamp())::float8 END AS seconds"""

# In the order of their keys: two bulks that have them in different orders would wait for each other.
_INSERT_ANY = _INSERT.format(more=", lock_key, behind", values=", v.lock_key, v.lock_key IS NOT NULL", order="""
ORDER BY v.unique_key NULLS FIRST, v.number""", rows="""
  SELECT id, type, queue, priority, max_attempts, timeout_seconds, payload, payload_version, delay, run_at, unique_key,
    ARRAY(SELECT jsonb_array_elements_text(a.tags)) AS tags, request_id, cron_id, scheduled_for, lock_key, number
  FROM unnest(%(ids)s::uuid[], %(types)s::text[], %(queues)s::text[], %(priorities)s::smallint[],
    %(max_attempts)s::int[], %(timeouts)s::float8[], %(payloads)s::jsonb[], %(versions)s::smallint[],
    %(delays)s::float8[], %(run_ats)s::timestamptz[], %(unique_keys)s::text[], %(tags)s::jsonb[],
    %(request_ids)s::text[], %(cron_ids)s::bigint[], %(scheduled_fors)s::timestamptz[],
    %(lock_keys)s::text[]) WITH ORDINALITY
  AS a(id, type, queue, priority, max_attempts, timeout_seconds, payload, payload_version, delay, run_at, unique_key,
    tags, request_id, cron_id, scheduled_for, lock_key, number)""")

# Ids and payloads come as two texts: to build and to read arrays of thousands of values costs more than the rows.
_INSERT_ALIKE = f"""
WITH new AS ({_INSERT.format(more='', values='', order='', rows='''
  SELECT a.id, %(type)s::text AS type, %(queue)s::text AS queue, %(priority)s::smallint AS priority,
    %(max_attempts)s::int AS max_attempts, %(timeout)s::float8 AS timeout_seconds, a.payload,
    %(version)s::smallint AS payload_version, %(delay)s::float8 AS delay, %(run_at)s::timestamptz AS run_at,
    %(unique_key)s::text AS unique_key, %(tags)s::text[] AS tags, %(request_id)s::text AS request_id,
    %(cron_id)s::bigint AS cron_id, %(scheduled_for)s::timestamptz AS scheduled_for, a.number
  FROM ROWS FROM (unnest(%(ids)s::uuid[]), jsonb_array_elements(%(payloads)s::jsonb))
    WITH ORDINALITY AS a(id, payload, number)''')})
SELECT count(*), count(*) FILTER (WHERE seconds IS NULL), min(seconds) FROM new"""

# The plainest job by far the most often: what can meet no other row needs no arbiter, and asks for nothing in return.
_READY_SQL = """
INSERT INTO job (id, type, queue, priority, status, attempt, max_attempts, failures, rescues, timeout_seconds, run_at,
  created_at, tags, payload, payload_version, request_id)
VALUES (%s, %s, %s, %s, 'queued', 0, %s, 0, 0, %s, clock_timestamp(), clock_timestamp(), %s, %s, %s, %s)"""
_READY = Direct(_READY_SQL)
_SEEN_FIRST = Direct(f"{_READY_SQL} RETURNING {flush.LATER}")

_HOLDERS = """
SELECT DISTINCT ON (unique_key) unique_key, id FROM job
WHERE unique_key = ANY(%(keys)s::text[]) AND unique_key IS NOT NULL AND finished_at IS NULL"""

_QUEUE_UP = """
SELECT pg_advisory_xact_lock(hashtextextended(key, 0))
FROM (SELECT DISTINCT key FROM unnest(%(keys)s::text[]) AS key ORDER BY key) line"""

_NOTIFY = "SELECT pg_notify('job_due', '')"


def insert(execute: Execute, jobs: list[NewJob], *, tags: list[str]) -> Reply[dict[uuid.UUID, float | None]]:
    """Insert rows; the reply says of each in how many seconds it is due (None: it is ready).

    A missing one met an unfinished job of its `unique_key`, or is stored already. `tags` are the jobs' tags as JSON
    text, in their order. A job with a lock comes in behind the others of its key, and is made the head where there is none.
    """
    columns = {
        "ids": [job.id for job in jobs],
        "types": [job.type for job in jobs],
        "queues": [job.queue for job in jobs],
        "priorities": [job.priority for job in jobs],
        "max_attempts": [job.max_attempts for job in jobs],
        "timeouts": [job.timeout_seconds for job in jobs],
        "payloads": [job.payload for job in jobs],
        "versions": [job.payload_version for job in jobs],
        "delays": [job.delay_seconds for job in jobs],
        "run_ats": [job.run_at for job in jobs],
        "unique_keys": [job.unique_key for job in jobs],
        "tags": tags,
        "request_ids": [job.request_id for job in jobs],
        "cron_ids": [job.cron_id for job in jobs],
        "scheduled_fors": [job.scheduled_for for job in jobs],
        "lock_keys": [job.lock_key for job in jobs],
    }

    def inserted(rows: list[Any]) -> dict[uuid.UUID, float | None]:
        passed_on(execute, (job.lock_key for job in jobs))
        return dict(rows)

    return Reply(execute(_INSERT_ANY, columns), inserted)


def insert_ready(job: NewJob) -> None:
    """Insert one job that is ready at once and has a new id, no unique key and no lock: nothing can be in its way."""
    _READY.execute(_values(job))


def insert_seen_first(job: NewJob) -> bool:
    """Do what `insert_ready` does, and let workers see the row while it is on its way to the disk; whether that could be.

    It can where no transaction is open. `flush.ensure` it before anybody is told that the job is stored.
    """
    return flush.can_follow() and _SEEN_FIRST.execute_alone(_values(job))


def _values(job: NewJob) -> Sequence[str]:
    return (
        str(job.id), job.type, job.queue, str(job.priority), str(job.max_attempts), repr(job.timeout_seconds),
        array(job.tags), job.payload, str(job.payload_version), job.request_id,
    )


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of jobs that are alike: how many are new, how many of these are ready, when the next is due."""

    new: int
    ready: int
    seconds: float | None


def insert_alike(execute: Execute, job: NewJob, *, ids: Sequence[uuid.UUID], payloads: Sequence[str]) -> Reply[Stored]:
    """Insert rows that differ from `job` in id and payload alone, without a lock; what `insert` would leave out is left out."""
    params = {
        "type": job.type,
        "queue": job.queue,
        "priority": job.priority,
        "max_attempts": job.max_attempts,
        "timeout": job.timeout_seconds,
        "version": job.payload_version,
        "delay": job.delay_seconds,
        "run_at": job.run_at,
        "unique_key": job.unique_key,
        "tags": job.tags,
        "request_id": job.request_id,
        "cron_id": job.cron_id,
        "scheduled_for": job.scheduled_for,
        "ids": f"{{{','.join(map(str, ids))}}}",
        "payloads": f"[{','.join(payloads)}]",
    }
    return Reply(execute(_INSERT_ALIKE, params), lambda rows: Stored(*rows[0]))


def holders(execute: Execute, *, keys: list[str]) -> Reply[dict[str, uuid.UUID]]:
    """Return which unfinished job has each of the unique keys."""
    return Reply(execute(_HOLDERS, {"keys": keys}), dict)


def queue_up(execute: Execute, *, keys: list[str]) -> None:
    """Wait for one's turn among those who replace jobs of these unique keys; it ends with the transaction."""
    execute(_QUEUE_UP, {"keys": keys})


def announce(execute: Execute) -> None:
    """Wake the dispatcher at commit, for a job that is due before its next look."""
    execute(_NOTIFY, {})
