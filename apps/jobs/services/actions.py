"""What a person may do with a job. Each tells by an error when the job's status forbids it, and then changes nothing."""

import json
import uuid
from collections import Counter
from collections.abc import Mapping
from typing import Any

from django.db import IntegrityError, transaction
from psycopg import errors as pg

from apps.jobs import registry
from apps.jobs.errors import JobNotFound, NotAllowedNow, UniqueConflict
from apps.jobs.lifecycle import ACTIONS
from apps.jobs.models import Job
from apps.jobs.services import roles
from apps.jobs.services.patience import patient
from apps.jobs.services.rings import ring_after_commit
from apps.jobs.transitions import cancel as cancelling
from apps.jobs.transitions import insert
from apps.jobs.transitions import retry as retrying
from apps.jobs.transitions.statement import on_django
from core import audit
from core.audit.recording import changed

TOLD = ("status", "max_attempts", "run_at", "cancel_requested_at", "finished_at")   # of a job, to the audit


def retry(job_id: uuid.UUID) -> None:
    """Queue a finished job again, with as many attempts more as its type has; its history stays."""
    job = _job(job_id)
    roles.check("retry", job)
    known = registry.find(job.type)
    attempts = {job.type: known.max_attempts if known else job.max_attempts}
    try:
        with transaction.atomic(), patient(job_id):
            before = _held(job_id)
            moved = retrying.retry(on_django(), ids=[job_id], attempts=attempts).get()
            _tell("retry", before, done=bool(moved))
    except IntegrityError as exc:
        if not isinstance(exc.__cause__, pg.UniqueViolation):
            raise
        other = insert.holders(on_django(), keys=[job.unique_key or ""]).get().get(job.unique_key or "")
        raise UniqueConflict(other or job_id, unique_key=job.unique_key or "") from exc
    _moved_or_refuse("retry", job_id, moved)


def run(job_id: uuid.UUID) -> None:
    """Make a waiting job ready now; for one that is queued already this only rings."""
    roles.check("run", _job(job_id))
    with transaction.atomic(), patient(job_id):
        before = _held(job_id)
        moved = retrying.run(on_django(), ids=[job_id]).get()
        _tell("run", before, done=bool(moved))
    _moved_or_refuse("run", job_id, moved)


def cancel(job_id: uuid.UUID, *, reason: str = "cancelled on request") -> None:
    """End a waiting job now, or ask a running one to stop: its worker hears of it within a second."""
    roles.check("cancel", _job(job_id))
    error = json.dumps({"class": "Cancelled", "message": reason, "traceback": ""})
    with transaction.atomic(), patient(job_id):
        before = _held(job_id)
        asked = cancelling.cancel(on_django(), ids=[job_id], error=error).get()
        _tell("cancel", before, done=bool(asked), reason=reason)
    if not asked:
        raise _refusal("cancel", job_id)


def discard(job_id: uuid.UUID) -> None:
    """Put a dead letter away."""
    roles.check("discard", _job(job_id))
    with transaction.atomic(), patient(job_id):
        before = _held(job_id)
        moved = retrying.discard(on_django(), ids=[job_id]).get()
        _tell("discard", before, done=bool(moved))
    if not moved:
        raise _refusal("discard", job_id)


def _job(job_id: uuid.UUID) -> Job:
    job = Job.objects.filter(id=job_id).first()
    if job is None:
        raise JobNotFound(job_id)
    return job


def _held(job_id: uuid.UUID) -> dict[str, Any]:
    """Return what the audit tells of a job, which nobody changes before this transaction ends."""
    held = Job.objects.select_for_update(no_key=True).filter(id=job_id)
    return held.values("id", *TOLD).first() or {"id": job_id}


def _tell(action: str, before: dict[str, Any], *, done: bool, **more: Any) -> None:
    if done:
        after = Job.objects.filter(id=before["id"]).values("id", *TOLD).get()
        was, now = changed(before, after)
        audit.record(action=f"job.{action}", target=f"job:{before['id']}", before=was, after={**now, **more})


def _moved_or_refuse(action: str, job_id: uuid.UUID, moved: Mapping[uuid.UUID, str]) -> None:
    if not moved:
        raise _refusal(action, job_id)
    ring_after_commit(Counter(moved.values()))


def _refusal(action: str, job_id: uuid.UUID) -> NotAllowedNow:
    return NotAllowedNow(action, job_id=job_id, status=_job(job_id).status, allowed=ACTIONS[action])
