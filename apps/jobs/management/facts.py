"""Rows as the commands' JSON says them: the members of the API, under the same names."""

from typing import Any

from apps.jobs import selectors
from apps.jobs.models import Artifact, Job, StaleWrite, Worker

JOB = (
    "id", "type", "queue", "priority", "status", "shown_payload", "result", "error", "attempt", "max_attempts", "failures",
    "rescues", "fence", "worker_id", "tags", "unique_key", "progress", "run_at", "created_at", "started_at",
    "finished_at", "cancel_requested_at", "cron_id", "scheduled_for",
)   # fmt: skip
CALLED = {"worker_id": "worker", "shown_payload": "payload"}
QUEUE = (
    "name", "waiting", "running", "oldest_waiting_seconds", "paused", "paused_at", "paused_by", "paused_reason",
)   # fmt: skip
WORKER = (
    "id", "name", "host", "pid", "pool", "slots", "queues", "types", "code_version", "metrics_port", "started_at",
    "seen_at", "lease_until", "stopping_at",
)   # fmt: skip
ATTEMPT = ("number", "fence", "worker", "lock_token", "outcome", "error", "started_at", "finished_at")
ARTIFACT = ("id", "job_id", "name", "content_type", "size", "sha256", "created_at", "expires_at")
STALE = ("job_id", "fence", "worker_id", "outcome", "at")


def of_job(row: Job) -> dict[str, Any]:
    return _of(row, JOB)


def of_attempt(attempt: selectors.Attempt) -> dict[str, Any]:
    return _of(attempt, ATTEMPT)


def of_queue(state: selectors.QueueState) -> dict[str, Any]:
    return _of(state, QUEUE)


def of_worker(row: Worker) -> dict[str, Any]:
    return {**_of(row, WORKER), "running": selectors.running_of(row.id)}


def of_artifact(row: Artifact) -> dict[str, Any]:
    return _of(row, ARTIFACT)


def of_stale(row: StaleWrite) -> dict[str, Any]:
    return _of(row, STALE)


def _of(row: object, names: tuple[str, ...]) -> dict[str, Any]:
    return {CALLED.get(name, name): getattr(row, name) for name in names}
