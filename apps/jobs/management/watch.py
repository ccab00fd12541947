"""What a check does with a running stack: post a job, wait until it has ended, and say what came in place of what."""

import time
from typing import Any

from apps.jobs.lifecycle import FINISHED, Status
from apps.jobs.management.stack import Answer, Stack
from core import clock
from core.errors import PlatformError

LOOKS_EVERY_SECONDS = 0.1
READ_ONLY = "urn:latchwork:problem:read-only"


class Failed(PlatformError):
    """A check does not hold; the message says what came in place of what."""


class WritingIsOff(PlatformError):
    """Nothing can be changed there for now, by its operator's decision: a check that would is not made."""

    def __init__(self) -> None:
        super().__init__("writing is off there (READ_ONLY=1)")


def expect(status: int, answer: Answer) -> Answer:
    """Return the answer if it has that status, and JSON where it says so."""
    if answer.status == 503 and isinstance(answer.content, dict) and answer.content.get("type") == READ_ONLY:
        raise WritingIsOff
    if answer.status != status:
        raise Failed(f"expected {status}, got {answer.complaint}")
    if answer.content is None and "json" in answer.headers.get("content-type", ""):
        raise Failed(f"the answer is not JSON: {answer.complaint}")
    return answer


def posted(stack: Stack, body: dict[str, Any], *, key: str | None = None, seconds: float) -> Answer:
    """Post a job, waiting once where a rate limit asks for it."""
    answer = stack.post("/api/v1/jobs", body, key=key)
    if answer.status == 429 and answer.retry_after_seconds <= seconds:
        time.sleep(answer.retry_after_seconds)
        answer = stack.post("/api/v1/jobs", body, key=key)
    return answer


def completed(stack: Stack, job: dict[str, Any], *, seconds: float) -> dict[str, Any]:
    """Return the job as it has completed; raise `Failed` when it ends otherwise, or not in time."""
    deadline = clock.elapsed() + seconds
    while job["status"] not in FINISHED:
        if clock.elapsed() > deadline:
            why = job.get("why_waiting") or "does a worker run?"
            raise Failed(f"still {job['status']} after {seconds:g} s: {why} (workers_list, queues_list)")
        time.sleep(LOOKS_EVERY_SECONDS)
        job = expect(200, stack.get(f"/api/v1/jobs/{job['id']}")).content
    if job["status"] != Status.COMPLETED:
        raise Failed(f"ended as {job['status']}: {(job['error'] or {}).get('message')}")
    return job
