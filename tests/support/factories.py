"""Rows as the house itself makes them: each goes through the transitions that a real one would go through."""

import json
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from django.db import connection

from apps.jobs import registry
from apps.jobs.lifecycle import AttemptOutcome, Status
from apps.jobs.models import Job
from apps.jobs.registry import JobType
from apps.jobs.transitions import cancel as cancelling
from apps.jobs.transitions import connection as connecting
from apps.jobs.transitions import fetch, insert, presence, settle
from apps.jobs.transitions.fetch import HEAD, Claim, Position
from apps.jobs.transitions.insert import NewJob
from apps.jobs.transitions.settle import Ending, Settled
from apps.jobs.transitions.statement import Execute, on_django
from core.ids import uuid7

TYPE = "test.echo"
RESCUE_CAP = 3
CANCELLED = json.dumps({"class": "Cancelled", "message": "by a test", "traceback": ""})


@contextmanager
def registered(name: str = TYPE, *, handler: Callable[..., Any] | None = None, **options: Any) -> Iterator[JobType]:
    """Register a job type for a while; `options` are those of `job_type`."""
    registry.job_type(name, **options)(handler or (lambda job, payload: None))
    try:
        yield registry.get(name)
    finally:
        del registry._types[name]


@contextmanager
def own_connection(name: str = "test") -> Iterator[psycopg.Connection[Any]]:
    """Open an autocommit connection of its own to the test database, to be somebody else than the test."""
    opened = connecting.connect(name)
    try:
        yield opened
    finally:
        opened.close()


def new_job(**changes: Any) -> NewJob:
    """Return a job that is not stored yet, of any type, known or not."""
    plain: dict[str, Any] = {
        "id": uuid7(), "type": TYPE, "queue": "default", "priority": 5, "max_attempts": 5, "timeout_seconds": 60.0,
        "payload": "{}", "payload_version": 1, "delay_seconds": 0.0, "run_at": None, "unique_key": None, "tags": [],
        "request_id": "",
    }
    return NewJob(**{**plain, **changes})


def jobs(count: int, *, execute: Execute | None = None, **changes: Any) -> list[uuid.UUID]:
    """Store jobs as enqueueing does, in one statement, and return their ids in their order."""
    new = [new_job(**changes) for _ in range(count)]
    insert.insert(execute or on_django(), new, tags=[json.dumps(job.tags) for job in new]).get()
    return [job.id for job in new]


def job(*, execute: Execute | None = None, **changes: Any) -> uuid.UUID:
    """Store one job and return its id."""
    return jobs(1, execute=execute, **changes)[0]


def worker(
    *, execute: Execute | None = None, lease_seconds: float = 30.0, queues: Sequence[str] = ("default",),
    types: Sequence[str] = (TYPE,), name: str = "worker@test",
) -> uuid.UUID:
    """Store the start of a worker and return its id; a lease of 0 seconds has ended already."""
    start = presence.Start(
        id=uuid7(), name=name, host="test", pid=1, pool="prefork", slots=1, queues=list(queues),
        types=json.dumps(dict.fromkeys(types, 1)), code_version="", metrics_port=None,
    )
    presence.start(execute or on_django(), start, lease_seconds=lease_seconds)
    return start.id


def claims(
    worker_id: uuid.UUID, *, execute: Execute | None = None, queue: str = "default", types: Sequence[str] = (f"{TYPE}@1",),
    limit: int = 100, after: Position = HEAD,
) -> list[Claim]:
    """Fetch for a worker."""
    return fetch.fetch(
        execute or on_django(), worker=worker_id, queue=queue, types=list(types), limit=limit, after=after,
    ).get()


def claim(worker_id: uuid.UUID, **options: Any) -> Claim:
    """Fetch one job for a worker; fail when none is ready."""
    found = claims(worker_id, limit=1, **options)
    assert found, "no job was ready for this worker"
    return found[0]


def end(claimed: Claim, outcome: AttemptOutcome = AttemptOutcome.COMPLETED, **changes: Any) -> Ending:
    """Return the ending of a claimed attempt."""
    return Ending(id=claimed.id, fence=claimed.fence, outcome=outcome, **changes)


def settled(
    worker_id: uuid.UUID, *endings: Ending, execute: Execute | None = None, rescue_cap: int = RESCUE_CAP,
) -> Settled:
    """Settle for a worker."""
    return settle.settle(execute or on_django(), list(endings), worker=worker_id, rescue_cap=rescue_cap).get()


def row(job_id: uuid.UUID | str) -> Job:
    """Return a job as it is stored now."""
    return Job.objects.get(id=job_id)


def claim_this(job_id: uuid.UUID, worker_id: uuid.UUID, *, execute: Execute | None = None) -> Claim:
    """Fetch one particular queued job for a worker, whatever else is ready."""
    found = (execute or on_django())(
        "SELECT queue, type || '@' || payload_version, priority, run_at FROM job WHERE id = %(id)s", {"id": job_id},
    ).fetchall()
    queue, known, priority, run_at = found[0]
    before = Position(priority, run_at, uuid.UUID(int=job_id.int - 1))
    held = claim(worker_id, execute=execute, queue=queue, types=[known], after=before)
    assert str(job_id) == held.id
    return held


def job_in(status: Status, *, execute: Execute | None = None, **changes: Any) -> uuid.UUID:
    """Store a job and lead it to a status by the ways that lead there, with a worker of its own."""
    if status == Status.SCHEDULED:
        return job(execute=execute, **{"delay_seconds": 3600.0, **changes})
    job_id = job(execute=execute, **changes)
    if status == Status.QUEUED:
        return job_id
    if status == Status.CANCELLED:
        cancelling.cancel(execute or on_django(), ids=[job_id], error=CANCELLED).get()
        return job_id
    holder = worker(execute=execute)
    held = claim_this(job_id, holder, execute=execute)
    endings = {
        Status.COMPLETED: end(held),
        Status.RETRYING: end(held, AttemptOutcome.FAILED, delay_seconds=3600.0, error=CANCELLED),
        Status.DEAD_LETTER: end(held, AttemptOutcome.DISCARDED, error=CANCELLED),
    }
    if status in endings:
        settled(holder, endings[status], execute=execute)
    return job_id


def clean_connection() -> None:
    """Close Django's connection of this thread: each thread of a test must, before it ends."""
    connection.close()
