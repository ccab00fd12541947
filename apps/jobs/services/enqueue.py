"""Store new jobs, in the caller's transaction."""

import json
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from asgiref.sync import sync_to_async
from django.db import transaction

from apps.jobs import registry, selectors
from apps.jobs.errors import InvalidJob, Problem, UniqueConflict, UnknownQueue
from apps.jobs.lifecycle import Status
from apps.jobs.models import Job
from apps.jobs.services.patience import patient
from apps.jobs.services.rings import ring_after_commit
from apps.jobs.transitions import cancel, insert
from apps.jobs.transitions.insert import NewJob
from apps.jobs.transitions.statement import on_django
from core.ids import uuid7

SOON = timedelta(milliseconds=300)   # the dispatcher looks four times a second: an earlier job wakes it
MOST_TAGS, MOST_TAG_LENGTH, MOST_KEY_LENGTH = 20, 100, 255
CONFLICTS = ("reject", "return_existing", "replace")
ROUNDS = 5   # the other job of a unique key may end between our insert and our look at it


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a caller may say about a job besides its type and payload; None means the type's own value."""

    queue: str | None = None
    priority: int | None = None
    max_attempts: int | None = None
    timeout: timedelta | None = None
    delay: timedelta | None = None
    run_at: datetime | None = None
    unique_key: str | None = None
    on_conflict: str = "reject"
    tags: Sequence[str] = ()
    request_id: str = ""
    job_id: uuid.UUID | None = None


@dataclass(frozen=True, slots=True)
class Enqueued:
    """The job's id, and whether this call made it (False: `return_existing` found another)."""

    id: uuid.UUID
    created: bool


def enqueue(type_name: str, payload: object = None, **options: Any) -> uuid.UUID:
    """Store a job and return its id; `options` are the fields of `Options`.

    Raise `InvalidJob` with a pointer for each problem, or `UniqueConflict` with the other job's id.
    """
    return place(type_name, payload, Options(**options)).id


aenqueue = sync_to_async(enqueue)


def place(type_name: str, payload: object, options: Options) -> Enqueued:
    """Store one job, and tell whether it is new."""
    return place_many([(type_name, payload, options)])[0]


def enqueue_many(type_name: str, payloads: Iterable[object], **options: Any) -> list[uuid.UUID]:
    """Store many jobs of one type by one statement and ring once; all or none."""
    shared = Options(**options)
    return [each.id for each in place_many([(type_name, payload, shared) for payload in payloads])]


def place_many(jobs: Sequence[tuple[str, object, Options]]) -> list[Enqueued]:
    """Store jobs of any types, all or none. Problems are numbered: `/3/payload/to`, for more than one job."""
    if not jobs:
        return []
    new, problems = [], []
    for number, (type_name, payload, options) in enumerate(jobs):
        try:
            new.append(_checked(type_name, payload, options))
        except InvalidJob as exc:
            if len(jobs) == 1:
                raise
            problems += [Problem(f"/{number}{problem.pointer}", problem.detail) for problem in exc.problems]
    if problems:
        raise InvalidJob(problems)
    with transaction.atomic():
        placed, due = _store(new, [options for _, _, options in jobs])
        if any(seconds is not None and seconds < SOON.total_seconds() for seconds in due.values()):
            insert.announce(on_django())
        ring_after_commit(job.queue for job in new if job.id in due and due[job.id] is None)
    return placed


def _checked(type_name: str, payload: object, options: Options) -> NewJob:
    job_type = registry.get(type_name)
    problems = list(_problems(options))
    queue = options.queue or job_type.queue
    if options.queue and queue not in registry.queues() and queue not in selectors.queue_names():
        raise UnknownQueue(queue, known=registry.queues() | set(selectors.queue_names()))
    text = job_type.check({} if payload is None else payload)
    if problems:
        raise InvalidJob(problems)
    timeout = options.timeout or job_type.timeout
    return NewJob(
        id=options.job_id or uuid7(),
        type=type_name,
        queue=queue,
        priority=job_type.priority if options.priority is None else options.priority,
        max_attempts=options.max_attempts or job_type.max_attempts,
        timeout_seconds=timeout.total_seconds(),
        payload=text,
        payload_version=job_type.payload_version,
        delay_seconds=options.delay.total_seconds() if options.delay else 0.0,
        run_at=options.run_at,
        unique_key=options.unique_key,
        tags=list(options.tags),
        request_id=options.request_id,
    )


def _problems(options: Options) -> Iterable[Problem]:
    if options.priority is not None and not 0 <= options.priority <= 9:
        yield Problem("/priority", "must be between 0 (first) and 9")
    if options.max_attempts is not None and not 1 <= options.max_attempts <= 1000:
        yield Problem("/max_attempts", "must be between 1 and 1000")
    if options.timeout is not None and not timedelta(0) < options.timeout <= timedelta(days=7):
        yield Problem("/timeout_seconds", "must be above 0 and at most 604800 (a week)")
    if options.delay is not None and options.run_at is not None:
        yield Problem("/run_at", "give either run_at or a delay, not both")
    if options.delay is not None and not timedelta(0) <= options.delay <= timedelta(days=3650):
        yield Problem("/delay_seconds", "must be between 0 and 315360000 (ten years)")
    if options.run_at is not None and options.run_at.tzinfo is None:
        yield Problem("/run_at", "needs a time zone, as in 2030-01-31T09:00:00Z")
    if options.unique_key is not None and not _storable(options.unique_key, MOST_KEY_LENGTH):
        yield Problem("/unique_key", f"must have 1 to {MOST_KEY_LENGTH} characters, none of them NUL")
    if options.on_conflict not in CONFLICTS:
        yield Problem("/on_conflict", f"must be one of {', '.join(CONFLICTS)}")
    if len(options.tags) > MOST_TAGS:
        yield Problem("/tags", f"holds {len(options.tags)} tags: at most {MOST_TAGS}")
    for number, tag in enumerate(options.tags):
        if not _storable(tag, MOST_TAG_LENGTH):
            yield Problem(f"/tags/{number}", f"must have 1 to {MOST_TAG_LENGTH} characters, none of them NUL")


def _storable(text: str, most: int) -> bool:
    return 0 < len(text) <= most and "\0" not in text and text.isprintable()


def _store(new: list[NewJob], options: list[Options]) -> tuple[list[Enqueued], dict[uuid.UUID, float | None]]:
    """Return what became of each job, and when those that are new are due."""
    execute = on_django()
    placed: dict[uuid.UUID, Enqueued] = {}
    due: dict[uuid.UUID, float | None] = {}
    replacing = [job.unique_key for job, option in zip(new, options, strict=True)
                 if job.unique_key and option.on_conflict == "replace"]
    if replacing:   # in turn: of many who replaced the same job at once, each but one would find its place taken again
        insert.queue_up(execute, keys=replacing)
    pending = list(zip(new, options, strict=True))
    for _ in range(ROUNDS):
        jobs = [job for job, _ in pending]
        inserted = insert.insert(execute, jobs, tags=[json.dumps(job.tags) for job in jobs]).get()
        due |= inserted
        placed |= {job_id: Enqueued(job_id, created=True) for job_id in inserted}
        pending = [each for each in pending if each[0].id not in placed]
        # Without a key, or when the row with the key is its own, an earlier call of the same id has stored it.
        keys = [job.unique_key for job, _ in pending if job.unique_key]
        others = insert.holders(execute, keys=keys).get() if keys else {}
        stored = _stored(job.id for job, _ in pending if job.unique_key and job.unique_key not in others)
        for job, option in pending:
            other = others.get(job.unique_key) if job.unique_key else job.id
            if other == job.id or job.id in stored:
                placed[job.id] = Enqueued(job.id, created=False)
            elif other and option.on_conflict == "return_existing":
                placed[job.id] = Enqueued(other, created=False)
            elif other and not (option.on_conflict == "replace" and _replaced(other, job)):
                raise _conflict(other, job, option)
        pending = [each for each in pending if each[0].id not in placed]
        if not pending:
            return [placed[job.id] for job in new], due
    job = pending[0][0]
    raise UniqueConflict(job.id, unique_key=job.unique_key or "", detail="the unique_key is contended: try again")


def _conflict(other: uuid.UUID, job: NewJob, option: Options) -> UniqueConflict:
    running = option.on_conflict == "replace"
    detail = f"job {other} of the unique_key {job.unique_key!r} runs already and cannot be replaced" if running else ""
    return UniqueConflict(other, unique_key=job.unique_key or "", detail=detail)


def _stored(ids: Iterable[uuid.UUID]) -> set[uuid.UUID]:
    """Return which of the ids an earlier call has stored, of jobs that have finished since."""
    asked = list(ids)
    return set(Job.objects.filter(id__in=asked).values_list("id", flat=True)) if asked else set()


def _replaced(other: uuid.UUID, job: NewJob) -> bool:
    """Whether the waiting job was ended to make room; a running one is not, and is not asked to stop."""
    found = Job.objects.filter(id=other).values_list("status", flat=True)
    if found.first() == Status.RUNNING:   # asked without a lock first: its handler may hold the row for long
        return False
    with patient(other):
        if found.select_for_update(no_key=True).first() == Status.RUNNING:
            return False
        error = json.dumps({"class": "Replaced", "message": f"replaced by job {job.id}", "traceback": ""})
        cancel.cancel(on_django(), ids=[other], error=error).get()
    return True
