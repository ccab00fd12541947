"""Store new jobs, in the caller's transaction."""

import json
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from asgiref.sync import sync_to_async
from django.db import connection, transaction

from apps.jobs import publishing, registry, selectors
from apps.jobs.errors import InvalidJob, Problem, UniqueConflict, UnknownQueue
from apps.jobs.lifecycle import Status
from apps.jobs.models import Job
from apps.jobs.services import roles
from apps.jobs.services.options import Options, problems_of, repeated_keys
from apps.jobs.services.patience import patient
from apps.jobs.services.rings import ring_after_commit
from apps.jobs.transitions import cancel, flush, insert
from apps.jobs.transitions.insert import NewJob
from apps.jobs.transitions.statement import on_django, prepared_on_django
from core.ids import uuid7

SOON_SECONDS = 0.3   # the dispatcher looks four times a second: an earlier job wakes it
CHUNK, CHUNK_CHARACTERS = 5000, 16_000_000   # rows of one statement, and what their payloads may have together
ROUNDS = 5   # the other job of a unique key may end between our insert and our look at it


@dataclass(frozen=True, slots=True)
class Enqueued:
    """The job's id, and whether this call made it (False: `return_existing` found another)."""

    id: uuid.UUID
    created: bool


def enqueue(type_name: str, payload: object = None, **options: Any) -> uuid.UUID:
    """Store a job and return its id; `options` are the fields of `Options`.

    Raise `InvalidJob` with a pointer for each problem, or `UniqueConflict` with the other job's id. After an error of the
    database the job may be stored or not: repeat the call with a `job_id` or a `unique_key` that the first one had too.
    """
    return place(type_name, payload, Options(**options)).id


aenqueue = sync_to_async(enqueue)


def place(type_name: str, payload: object, options: Options) -> Enqueued:
    """Store one job, and tell whether it is new."""
    job = _checked(type_name, payload, options)
    if (options.unique_key, options.job_id, options.run_at, job.lock_key) == (None,) * 4 and not job.delay_seconds:
        with transaction.mark_for_rollback_on_error():
            seen_first = not publishing.rests(job.queue) and insert.insert_seen_first(job)
            if not seen_first:
                insert.insert_ready(job)
            ring_after_commit({job.queue: 1})
            if seen_first:   # a worker is on its way meanwhile
                flush.ensure(job.id)
        return Enqueued(job.id, created=True)
    replacing = options.unique_key is not None and options.on_conflict == "replace"
    if not replacing and job.lock_key is None and _store_alike(job, ids=[job.id], payloads=[job.payload]):
        return Enqueued(job.id, created=True)
    return _place([job], [options])[0]


def enqueue_many(type_name: str, payloads: Iterable[object], **options: Any) -> list[uuid.UUID]:
    """Store many jobs of one type by few statements and ring once; all or none."""
    shared, given = Options(**options), list(payloads)
    known = registry.find(type_name)
    alike = shared.unique_key is None and shared.job_id is None and (known is None or known.lock is None)
    if given and alike:
        with suppress(InvalidJob):   # raised below, with all problems and the numbers of their payloads
            job = _checked(type_name, given[0], shared)
            check = registry.get(type_name).check
            texts = [job.payload, *(check({} if payload is None else payload) for payload in given[1:])]
            ids = [job.id, *(uuid7() for _ in texts[1:])]
            _store_alike(job, ids=ids, payloads=texts)
            return ids
    return [each.id for each in place_many([(type_name, payload, shared) for payload in given])]


def _store_alike(job: NewJob, *, ids: Sequence[uuid.UUID], payloads: Sequence[str]) -> int:
    """Store jobs that differ in id and payload alone, and return how many of them are new.

    A single statement needs no transaction of its own; as with Django's `save()` there is no savepoint either.
    """
    chunks = list(_chunks(payloads))
    single = len(chunks) == 1 and (connection.in_atomic_block or connection.get_autocommit())
    execute = prepared_on_django()
    with transaction.mark_for_rollback_on_error() if single else transaction.atomic():
        stored = [
            insert.insert_alike(execute, job, ids=ids[chunk], payloads=payloads[chunk]).get() for chunk in chunks
        ]
        _tell({job.queue: sum(each.ready for each in stored)}, seconds=[each.seconds for each in stored])
    return sum(each.new for each in stored)


def _chunks(payloads: Sequence[str]) -> Iterator[slice]:
    start = size = 0
    for number, payload in enumerate(payloads):
        if number > start and (number - start == CHUNK or size + len(payload) > CHUNK_CHARACTERS):
            yield slice(start, number)
            start, size = number, 0
        size += len(payload)
    yield slice(start, len(payloads))


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
    problems += repeated_keys([options for _, _, options in jobs])
    if problems:
        raise InvalidJob(problems)
    return _place(new, [options for _, _, options in jobs])


def _place(new: list[NewJob], options: list[Options]) -> list[Enqueued]:
    with transaction.atomic():
        placed, due = _store(new, options)
        _tell(Counter(job.queue for job in new if job.id in due and due[job.id] is None), seconds=due.values())
    return placed


def _tell(ready: Mapping[str, int], *, seconds: Iterable[float | None]) -> None:
    """Ring for queues with so many ready jobs, and wake the dispatcher for a job that is due in few seconds."""
    if any(each is not None and each < SOON_SECONDS for each in seconds):
        insert.announce(on_django())
    ring_after_commit(ready)


def _checked(type_name: str, payload: object, options: Options) -> NewJob:
    job_type = registry.get(type_name)
    problems = list(problems_of(options))
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
        lock_key=job_type.lock_key(text),
    )


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
        inserted = insert.insert(execute, jobs, tags=[json.dumps(job.tags) if job.tags else "[]" for job in jobs]).get()
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
                raise _conflict(other, job, option, at=f"/{new.index(job)}" if len(new) > 1 else "")
        pending = [each for each in pending if each[0].id not in placed]
        if not pending:
            return [placed[job.id] for job in new], due
    job = pending[0][0]
    raise UniqueConflict(job.id, unique_key=job.unique_key or "", detail="the unique_key is contended: try again")


def _conflict(other: uuid.UUID, job: NewJob, option: Options, *, at: str) -> UniqueConflict:
    running = option.on_conflict == "replace"
    detail = f"job {other} of the unique_key {job.unique_key!r} runs already and cannot be replaced" if running else ""
    return UniqueConflict(other, unique_key=job.unique_key or "", detail=detail, pointer=f"{at}/unique_key")


def _stored(ids: Iterable[uuid.UUID]) -> set[uuid.UUID]:
    """Return which of the ids an earlier call has stored, of jobs that have finished since."""
    asked = list(ids)
    return set(Job.objects.filter(id__in=asked).values_list("id", flat=True)) if asked else set()


def _replaced(other: uuid.UUID, job: NewJob) -> bool:
    """Whether the waiting job was ended to make room; a running one is not, and is not asked to stop.

    A job of another type has a role of its own, which whoever may ask for this one need not have.
    """
    found = Job.objects.filter(id=other).values_list("status", flat=True)
    if found.first() == Status.RUNNING:   # asked without a lock first: its handler may hold the row for long
        return False
    with patient(other):
        if found.select_for_update(no_key=True).first() == Status.RUNNING:
            return False
        if (row := Job.objects.filter(id=other).exclude(type=job.type).first()) is not None:
            roles.check("replace", row)
        error = json.dumps({"class": "Replaced", "message": f"replaced by job {job.id}", "traceback": ""})
        cancel.cancel(on_django(), ids=[other], error=error).get()
    return True
