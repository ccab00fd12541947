"""One action on many jobs, in the caller's transaction: it waits for nobody, and says of each job that it left alone why."""

import json
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from django.db import IntegrityError, transaction
from psycopg import errors as pg

from apps.jobs import registry
from apps.jobs.errors import JobBusy, JobError, JobNotFound, NotAllowedNow, UniqueConflict
from apps.jobs.lifecycle import ACTIONS
from apps.jobs.models import Job
from apps.jobs.services import roles
from apps.jobs.services.rings import ring_after_commit
from apps.jobs.transitions import cancel as cancelling
from apps.jobs.transitions import insert
from apps.jobs.transitions import retry as retrying
from apps.jobs.transitions.statement import on_django

Held = dict[uuid.UUID, Job]


@dataclass(frozen=True, slots=True, kw_only=True)
class Acted:
    """The jobs that were acted on, and why the others were not."""

    done: list[uuid.UUID] = field(default_factory=list)
    refused: dict[uuid.UUID, JobError] = field(default_factory=dict)


def act(action: str, ids: Sequence[uuid.UUID], *, reason: str) -> Acted:
    """Do one of `lifecycle.ACTIONS` to each of the jobs whose status allows it, and tell nobody but the caller.

    A job that somebody holds is refused as busy: its handler may hold it for long, and the caller holds the others.
    """
    held = _held(ids)
    acted = Acted(refused={job.id: why for job in held.values() if (why := roles.refusal(action, job)) is not None})
    allowed = [job_id for job_id, job in held.items() if job.status in ACTIONS[action] and job_id not in acted.refused]
    try:
        moved = _moved(action, {job_id: held[job_id] for job_id in allowed}, reason=reason)
    except UniqueConflict:   # one of them: each for itself then
        moved = {}
        for job_id in allowed:
            try:
                moved |= _moved(action, {job_id: held[job_id]}, reason=reason)
            except UniqueConflict as exc:
                acted.refused[job_id] = exc
    if action in {"retry", "run"}:
        ring_after_commit(Counter(moved.values()))
    acted.done.extend(job_id for job_id in ids if job_id in moved)
    _explain(acted, ids, action=action, held=held)
    return acted


def _held(ids: Sequence[uuid.UUID]) -> Held:
    rows = Job.objects.select_for_update(skip_locked=True, no_key=True).filter(id__in=ids).order_by("id")
    return {job.id: job for job in rows.only("id", "type", "queue", "status", "unique_key", "max_attempts")}


def _moved(action: str, held: Held, *, reason: str) -> dict[uuid.UUID, str]:
    """Act on rows that this transaction holds, all or none; return the queue of each that was acted on."""
    ids = list(held)
    if not ids:
        return {}
    match action:
        case "run":
            return retrying.run(on_django(), ids=ids).get()
        case "discard":
            return retrying.discard(on_django(), ids=ids).get()
        case "cancel":
            error = json.dumps({"class": "Cancelled", "message": reason, "traceback": ""})
            asked = cancelling.cancel(on_django(), ids=ids, error=error).get()
            return {each.id: held[each.id].queue for each in asked}
        case "retry":
            return _retried(held)
        case _:
            msg = f"{action!r} is no action on jobs"
            raise ValueError(msg)


def _retried(held: Held) -> dict[uuid.UUID, str]:
    attempts = {}
    for job in held.values():
        known = registry.find(job.type)
        attempts[job.type] = known.max_attempts if known else job.max_attempts
    try:
        with transaction.atomic():
            return retrying.retry(on_django(), ids=list(held), attempts=attempts).get()
    except IntegrityError as exc:
        if not isinstance(exc.__cause__, pg.UniqueViolation):
            raise
        keys = {job.unique_key: job.id for job in held.values() if job.unique_key}
        others = insert.holders(on_django(), keys=list(keys)).get()
        key = next(iter(others), next(iter(keys)))   # none: two of these jobs have the same key
        raise UniqueConflict(others.get(key, keys[key]), unique_key=key) from exc


def _explain(acted: Acted, ids: Sequence[uuid.UUID], *, action: str, held: Held) -> None:
    left = [job_id for job_id in ids if job_id not in acted.refused and job_id not in set(acted.done)]
    stored = set(Job.objects.filter(id__in=left).values_list("id", flat=True)) if left else set()
    for job_id in left:
        if job_id in held:
            acted.refused[job_id] = NotAllowedNow(
                action, job_id=job_id, status=held[job_id].status, allowed=ACTIONS[action],
            )
        else:
            acted.refused[job_id] = JobBusy(job_id) if job_id in stored else JobNotFound(job_id)
