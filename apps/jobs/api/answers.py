"""What the routes answer: each model is the description in OpenAPI, each function makes one from a row."""

import uuid
from collections.abc import Collection
from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from apps.jobs import selectors
from apps.jobs.lifecycle import AttemptOutcome, Status
from apps.jobs.models import Artifact, Job, StaleWrite, Worker
from apps.jobs.registry import JobType
from core.api.roles import Role


class JobError(BaseModel):
    """How the last attempt failed."""

    class_: str = Field(alias="class")
    message: str
    traceback: str


class JobAnswer(BaseModel):
    """A job as it stands now."""

    id: uuid.UUID
    type: str
    queue: str
    priority: int = Field(description="0 is first, 9 last.")
    status: Status
    payload: Any = Field(description='As it was given; what its type seals is "(sealed)".')
    result: Any
    error: JobError | None
    attempt: int = Field(description="How many attempts were begun.")
    max_attempts: int
    failures: int
    rescues: int = Field(description="How often its worker was lost; not counted against max_attempts.")
    fence: int | None = Field(description="The number of its latest claim.")
    worker: uuid.UUID | None
    tags: list[str]
    unique_key: str | None
    progress: Any
    run_at: datetime
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    cancel_requested_at: datetime | None
    cron_id: int | None
    scheduled_for: datetime | None


class OneJob(JobAnswer):
    """A job as it stands now, and why it does not run yet."""

    why_waiting: str | None = Field(description="A sentence about a job that is queued or put off for its lock; null for any other.")


class JobPage(BaseModel):
    """Jobs, newest first."""

    items: list[JobAnswer]
    next: str | None


class MadeJobs(BaseModel):
    """The jobs of a bulk request, in its order."""

    jobs: list[JobAnswer]


class AttemptAnswer(BaseModel):
    """One execution of a job."""

    number: int
    fence: int | None
    worker: uuid.UUID | None
    lock_token: int | None
    outcome: AttemptOutcome | None = Field(description="null while it runs.")
    error: JobError | None
    started_at: datetime | None
    finished_at: datetime | None


class AttemptPage(BaseModel):
    """Attempts, oldest first."""

    items: list[AttemptAnswer]
    next: str | None


class ArtifactAnswer(BaseModel):
    """A file that is kept."""

    id: uuid.UUID
    job_id: uuid.UUID | None = Field(description="The job that made it; null for an upload.")
    name: str = Field(description="As it was cleaned of what is dangerous in a file's name.")
    content_type: str = Field(description="By its content, whatever its name says.")
    size: int = Field(description="In bytes.")
    sha256: str
    created_at: datetime
    expires_at: datetime = Field(description="When it will be deleted.")


class ArtifactPage(BaseModel):
    """Artifacts, oldest first."""

    items: list[ArtifactAnswer]
    next: str | None


class JobTypeAnswer(BaseModel):
    """A registered type: what it takes, and what its jobs get unless they say otherwise."""

    name: str
    description: str
    queue: str
    priority: int
    max_attempts: int
    timeout_seconds: float
    payload_version: int
    enqueue_role: Role = Field(description="The least role that may ask for such a job.")
    act_role: Role | None = Field(
        description="The least role that may retry, run, cancel, discard or replace one; null: its payload decides.",
    )
    lock: str | None = Field(description="The name of the lock that each of its jobs holds, with members of the payload in it.")
    payload_schema: dict[str, Any] = Field(description="JSON Schema of the payload.")


class JobTypePage(BaseModel):
    """Types by name."""

    items: list[JobTypeAnswer]
    next: str | None


class QueueAnswer(BaseModel):
    """A queue as it stands now."""

    name: str
    waiting: int = Field(description="Jobs that are ready.")
    running: int
    oldest_waiting_seconds: float | None
    paused: bool
    paused_at: datetime | None
    paused_by: str
    paused_reason: str


class QueuePage(BaseModel):
    """Queues by name."""

    items: list[QueueAnswer]
    next: str | None


class WorkerAnswer(BaseModel):
    """One start of a worker process."""

    id: uuid.UUID
    name: str
    host: str
    pid: int
    pool: str
    slots: int
    queues: list[str]
    types: dict[str, int] = Field(description="The types that it knows, with the version of their payload.")
    running: list[uuid.UUID] = Field(description="The jobs that it holds.")
    code_version: str
    metrics_port: int | None
    started_at: datetime
    seen_at: datetime = Field(description="Its last sign of life.")
    lease_until: datetime
    stopping_at: datetime | None


class WorkerPage(BaseModel):
    """Workers by name."""

    items: list[WorkerAnswer]
    next: str | None


class StaleAnswer(BaseModel):
    """An ending that came too late: a fence refused it, and it changed nothing."""

    job_id: uuid.UUID
    fence: int
    worker: uuid.UUID | None
    outcome: str
    at: datetime


class StalePage(BaseModel):
    """Refused endings, newest first."""

    items: list[StaleAnswer]
    next: str | None


class QueueNumbers(BaseModel):
    """One queue in numbers."""

    waiting: int
    running: int
    oldest_waiting_seconds: float | None
    paused: bool


class Stats(BaseModel):
    """The whole platform in numbers."""

    total_jobs: int
    active_jobs: int
    completed_jobs: int
    failed_jobs: int
    dead_letter_jobs: int
    queue_length: int
    retry_queue_length: int
    dlq_length: int
    by_status: dict[Status, int]
    queues: dict[str, QueueNumbers]


_OTHERWISE = {"worker": "worker_id", "payload": "shown_payload"}   # under another name on the row
_JOB = {name: _OTHERWISE.get(name, name) for name in JobAnswer.model_fields}
_WORKER_AS_IT_IS = tuple(name for name in WorkerAnswer.model_fields if name != "running")


def job(row: Job) -> dict[str, Any]:
    """Say a job."""
    return {name: getattr(row, attribute) for name, attribute in _JOB.items()}


def one_job(row: Job) -> dict[str, Any]:
    """Say a job, and why it waits."""
    return {**job(row), "why_waiting": selectors.why_waiting(row) or None}


def attempt(found: selectors.Attempt) -> dict[str, Any]:
    """Say an attempt."""
    return {name: getattr(found, name) for name in AttemptAnswer.model_fields}


def artifact(row: Artifact) -> dict[str, Any]:
    """Say an artifact."""
    return {name: getattr(row, name) for name in ArtifactAnswer.model_fields}


def job_type(found: JobType) -> dict[str, Any]:
    """Say a type."""
    return {
        "name": found.name,
        "description": found.description,
        "queue": found.queue,
        "priority": found.priority,
        "max_attempts": found.max_attempts,
        "timeout_seconds": found.timeout.total_seconds(),
        "payload_version": found.payload_version,
        "enqueue_role": found.enqueue_role,
        "act_role": None if callable(found.act_role) else found.act_role or found.enqueue_role,
        "lock": found.lock.template if found.lock else None,
        "payload_schema": found.schema(),
    }


def queue(state: selectors.QueueState) -> dict[str, Any]:
    """Say a queue."""
    return {name: getattr(state, name) for name in QueueAnswer.model_fields}


def worker(row: Worker, *, running: Collection[uuid.UUID]) -> dict[str, Any]:
    """Say a worker with what it holds."""
    return {**{name: getattr(row, name) for name in _WORKER_AS_IT_IS}, "running": list(running)}


def stale(row: StaleWrite) -> dict[str, Any]:
    """Say a refused ending."""
    return {
        "job_id": row.job_id, "fence": row.fence, "worker": row.worker_id, "outcome": row.outcome, "at": row.at,
    }
