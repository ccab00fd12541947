"""Reads for API, admin and commands. None of them counts a large table."""

import uuid
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import Count, QuerySet
from django.db.models.functions import Now

from apps.jobs import registry
from apps.jobs.errors import JobNotFound, QueueNotFound
from apps.jobs.lifecycle import AttemptOutcome, Status
from apps.jobs.models import Artifact, Job, JobAttempt, Queue, StaleWrite, Worker


def jobs() -> QuerySet[Job]:
    """All jobs, newest first; narrow it by indexed fields only."""
    return Job.objects.all()


def matching(
    *,
    status: str | None = None,
    type_name: str | None = None,
    queue: str | None = None,
    tag: str | None = None,
    cron_id: int | None = None,
    created_after: datetime | None = None,
    created_before: datetime | None = None,
) -> QuerySet[Job]:
    """Return the jobs that are all of this; None leaves a question open. `created_after` includes its moment."""
    wanted = {
        "status": status, "type": type_name, "queue": queue, "tags__contains": [tag] if tag is not None else None,
        "cron_id": cron_id, "created_at__gte": created_after, "created_at__lt": created_before,
    }
    found = jobs().filter(**{name: value for name, value in wanted.items() if value is not None})
    return found.exclude(tags=[]) if tag is not None else found   # says nothing new, but what the tags' index says


def several(ids: Sequence[uuid.UUID]) -> list[Job]:
    """Return the jobs with these ids in their order, without those that do not exist."""
    found = Job.objects.in_bulk(list(ids))
    return [found[each] for each in ids if each in found]


def job(job_id: uuid.UUID) -> Job:
    """Return a job, or raise `JobNotFound`."""
    found = Job.objects.filter(id=job_id).first()
    if found is None:
        raise JobNotFound(job_id)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One attempt, from the history or from the job's own row."""

    number: int
    fence: int | None
    worker: uuid.UUID | None
    lock_token: int | None
    outcome: str | None
    error: dict[str, Any] | None
    started_at: datetime | None
    finished_at: datetime | None


def attempts(job_id: uuid.UUID) -> list[Attempt]:
    """Return a job's attempts, oldest first; the latest stands on the job itself."""
    found = job(job_id)
    history = [
        Attempt(
            number=row.number, fence=row.fence, worker=row.worker_id, lock_token=row.lock_token, outcome=row.outcome,
            error=row.error, started_at=row.started_at, finished_at=row.finished_at,
        )
        for row in JobAttempt.objects.filter(job_id=job_id).order_by("fence")
    ]
    on_row = found.status in {Status.RUNNING, Status.COMPLETED} and found.started_at is not None
    if on_row and found.fence not in {each.fence for each in history}:
        history.append(Attempt(
            number=found.attempt, fence=found.fence, worker=found.worker_id, lock_token=found.lock_token,
            outcome=AttemptOutcome.COMPLETED.value if found.status == Status.COMPLETED else None,
            error=None, started_at=found.started_at, finished_at=found.finished_at,
        ))
    return history


def artifacts() -> QuerySet[Artifact]:
    """All artifacts whose time is not over."""
    return Artifact.objects.filter(expires_at__gt=Now())


def artifacts_of(job_id: uuid.UUID) -> QuerySet[Artifact]:
    """Return a job's artifacts, or raise `JobNotFound` when there is no such job."""
    return artifacts().filter(job_id=job(job_id).id)


def queue_names() -> list[str]:
    """Return the queues that rows name."""
    return list(Queue.objects.order_by("name").values_list("name", flat=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueState:
    """A queue as it stands now."""

    name: str
    waiting: int
    running: int
    oldest_waiting_seconds: float | None
    paused: bool
    paused_at: datetime | None
    paused_by: str
    paused_reason: str


_QUEUES = """
WITH ready AS (
  SELECT queue, count(*) AS waiting, extract(epoch FROM clock_timestamp() - min(run_at))::float8 AS oldest
  FROM job WHERE status = 'queued' GROUP BY queue),
held AS (SELECT queue, count(*) AS running FROM job WHERE status = 'running' GROUP BY queue)
SELECT coalesce(ready.queue, held.queue), coalesce(waiting, 0), coalesce(running, 0), oldest
FROM ready FULL JOIN held ON ready.queue = held.queue"""


def queues() -> list[QueueState]:
    """Return every queue that a type, a row or a job names."""
    with connection.cursor() as cursor:
        cursor.execute(_QUEUES)
        counts = {name: (waiting, running, oldest) for name, waiting, running, oldest in cursor.fetchall()}
    rows = {row.name: row for row in Queue.objects.all()}
    states = []
    for name in sorted(registry.queues() | set(rows) | set(counts)):
        waiting, running, oldest = counts.get(name, (0, 0, None))
        row = rows.get(name) or Queue(name=name)
        states.append(QueueState(
            name=name, waiting=waiting, running=running, oldest_waiting_seconds=oldest, paused=row.paused_at is not None,
            paused_at=row.paused_at, paused_by=row.paused_by, paused_reason=row.paused_reason,
        ))
    return states


_TALLY = "SELECT type, queue, event, sum(count)::bigint, sum(seconds) FROM job_tally GROUP BY type, queue, event"
_WAITING = """
SELECT status, count(*) FROM job WHERE status IN ('scheduled', 'retrying') GROUP BY status
UNION ALL SELECT 'queued', count(*) FROM job WHERE status = 'queued'
UNION ALL SELECT 'running', count(*) FROM job WHERE status = 'running'"""


@dataclass(frozen=True, slots=True)
class Ended:
    """Endings of one kind, since the beginning."""

    type: str
    queue: str
    event: str
    count: int
    seconds: float


def endings() -> list[Ended]:
    """Return how many attempts and jobs ended how, since the beginning, from the roll-ups."""
    with connection.cursor() as cursor:
        cursor.execute(_TALLY)
        return [Ended(*row) for row in cursor.fetchall()]


def by_status() -> dict[str, int]:
    """Return how many jobs stand in each status: waiting ones from their indexes, finished ones from the roll-ups.

    Finished jobs count also after retention has removed them.
    """
    with connection.cursor() as cursor:
        cursor.execute(_WAITING)
        waiting = dict(cursor.fetchall())
    events: dict[str, int] = {}
    for ended in endings():
        events[ended.event] = events.get(ended.event, 0) + ended.count

    def net(status: Status, *, gained: str = "", lost: str = "") -> int:
        gone = events.get(f"retried_{status.value}", 0) + events.get(lost, 0)
        return max(0, events.get(status.value, 0) + events.get(gained, 0) - gone)

    return {
        **{status.value: waiting.get(status.value, 0) for status in Status},
        Status.COMPLETED.value: net(Status.COMPLETED),
        Status.CANCELLED.value: net(Status.CANCELLED, gained="discarded"),
        Status.DEAD_LETTER.value: net(Status.DEAD_LETTER, lost="discarded"),
    }


def stats() -> dict[str, Any]:
    """Return the counts of the whole platform."""
    counts = by_status()
    active = sum(counts[status] for status in ("scheduled", "queued", "running", "retrying"))
    return {
        "total_jobs": sum(counts.values()),
        "active_jobs": active,
        "completed_jobs": counts["completed"],
        "failed_jobs": counts["retrying"] + counts["dead_letter"],
        "dead_letter_jobs": counts["dead_letter"],
        "queue_length": counts["queued"],
        "retry_queue_length": counts["retrying"],
        "dlq_length": counts["dead_letter"],
        "by_status": counts,
        "queues": {
            queue.name: {
                "waiting": queue.waiting, "running": queue.running,
                "oldest_waiting_seconds": queue.oldest_waiting_seconds, "paused": queue.paused,
            }
            for queue in queues()
        },
    }


def workers() -> QuerySet[Worker]:
    """All workers that have not ended, by name."""
    return Worker.objects.filter(ended_at__isnull=True).order_by("name", "id")


@dataclass(frozen=True, slots=True)
class Fleet:
    """Who works, in numbers; ages are by the database's clock."""

    workers: int
    slots: int
    stale_writes: int
    """How many the ledger ever took: its own numbers tell, also after retention."""
    dispatcher_seconds: float | None


_FLEET = """
SELECT count(*), coalesce(sum(slots), 0)::bigint,
  (SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM job_stale_write_id_seq),
  (SELECT extract(epoch FROM clock_timestamp() - done_at)::float8 FROM job_duty WHERE name = 'dispatch')
FROM job_worker WHERE ended_at IS NULL AND lease_until > clock_timestamp()"""


def fleet() -> Fleet:
    """Return how many workers are alive, and since when no dispatcher gave a sign."""
    with connection.cursor() as cursor:
        cursor.execute(_FLEET)
        return Fleet(*cursor.fetchone())


def running_of(worker_id: uuid.UUID) -> list[uuid.UUID]:
    """Return the jobs that a worker holds."""
    return list(Job.objects.filter(status=Status.RUNNING, worker_id=worker_id).values_list("id", flat=True))


def running_by_worker(ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, list[uuid.UUID]]:
    """Return the jobs that each of these workers holds."""
    held: dict[uuid.UUID, list[uuid.UUID]] = {each: [] for each in ids}
    rows = Job.objects.filter(status=Status.RUNNING, worker_id__in=ids).order_by("id")
    for worker_id, job_id in rows.values_list("worker_id", "id"):
        if worker_id is not None:
            held[worker_id].append(job_id)
    return held


def queue(name: str) -> QueueState:
    """Return one queue, or raise `QueueNotFound`."""
    states = {state.name: state for state in queues()}
    if name not in states:
        raise QueueNotFound(name, known=states)
    return states[name]


def stale() -> QuerySet[StaleWrite]:
    """All refused writes, newest first."""
    return StaleWrite.objects.order_by("-at", "-id")


def waiters(names: Collection[str]) -> dict[str, int]:
    """Return how many jobs wait for each of these locks: those in line, and a head that was put off."""
    rows = Job.objects.filter(lock_key__in=names)
    line = rows.filter(behind=True, status=Status.QUEUED)
    heads = rows.filter(behind=False, finished_at__isnull=True).exclude(status=Status.RUNNING)
    found: Counter[str] = Counter()
    for part in (line, heads):   # each has an index of its own
        found.update({key or "": count for key, count in part.order_by().values_list("lock_key").annotate(Count("id"))})
    return dict(found)


def why_waiting(found: Job) -> str:
    """Say in a sentence why a job that is queued, or was put off for its lock, does not run yet; empty for any other."""
    if found.status == Status.SCHEDULED and found.lock_key and not found.behind and found.error:   # put off at the head of its key
        return f"its lock could not be had: {found.error['message']}"
    if found.status != Status.QUEUED:
        return ""
    paused = Queue.objects.filter(name=found.queue, paused_at__isnull=False).first()
    if paused:
        return f"its queue {found.queue} is paused" + (f": {paused.paused_reason}" if paused.paused_reason else "")
    if found.behind:
        return _whose_turn(found)
    return _whom_it_lacks(found) or "it waits for its turn"


def _whose_turn(found: Job) -> str:
    head = Job.objects.filter(lock_key=found.lock_key, behind=False, finished_at__isnull=True).values_list("id", "status").first()
    who = "another job" if head is None else f"job {head[0]}, which is {head[1]},"
    return f"{who} has its turn under the lock {found.lock_key!r}"


def _whom_it_lacks(found: Job) -> str:
    alive = list(workers())
    if not alive:
        return "no worker is alive"
    knowing = [each for each in alive if each.types.get(found.type, 0) == found.payload_version]
    if not knowing:
        return f"no worker that is alive knows {found.type} with payload version {found.payload_version}"
    if not any(found.queue in each.queues for each in knowing):
        return f"no worker that knows {found.type} serves the queue {found.queue}"
    return ""
