"""An action on all jobs that match a filter, as a job of its own: begun by a person, done in batches, stoppable.

Each batch is one transaction under the fence of the job that does it: what became of its jobs and how far the whole is
stand in one commit, so that an attempt after a crash goes on behind the last batch and does nothing twice. A job that was
created after the beginning is left alone.
"""

import uuid
from collections import Counter
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Protocol

from django.db import connection, transaction

from apps.jobs.errors import Cancelled, JobError, JobNotFound, UniqueConflict
from apps.jobs.lifecycle import ACTIONS
from apps.jobs.models import Bulk
from apps.jobs.selection import Selection
from apps.jobs.services import many, roles
from apps.jobs.services.enqueue import place
from apps.jobs.services.options import Options
from core import audit
from core.windows import Place, Tally

TYPE = "system.bulk"
BATCH = 100
MOST_FORESEEN, FORESEEN_SECONDS = 100_000, 1.5        # what a dry run counts
MOST_COUNTED, COUNTED_SECONDS = 100_000_000, 4.0      # what the job counts, for its progress
LOOK_SECONDS = 0.2                                    # a batch holds the job's own row, and whoever stops it waits
REFUSALS_KEPT = 20


class NotBegun(JobError):
    """A job of this type says in its payload what to do; only a row that `begin` has written says that it may."""

    def __init__(self, job_id: object) -> None:
        super().__init__(f"job {job_id} was not begun as a bulk action: its payload alone allows nothing, use the admin")


class Attempt(Protocol):
    """What of a handler's context a bulk action needs."""

    @property
    def id(self) -> uuid.UUID: ...
    def check(self) -> None: ...
    def progress(self, done: float, total: float | None = None, note: str = "") -> None: ...
    def transaction(self) -> AbstractContextManager[Any]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """The job that does it, and whether it was begun just now or was under way already."""

    id: uuid.UUID
    created: bool


def foresee(selection: Selection) -> Tally:
    """Count what matches now by status, up to a limit of rows and of time."""
    walk = selection.walk(fields=("id", "status"))
    return walk.tally("status", most=MOST_FORESEEN, seconds=FORESEEN_SECONDS)


def foresee_closed(selection: Selection) -> Counter[str]:
    """Count by status what matches now and is of a type that whoever acts may not act on; up to the same limits."""
    counts: Counter[str] = Counter()
    for name in roles.closed_types():
        if selection.type in {None, name} and name.startswith(selection.type_prefix or ""):
            counts.update(foresee(selection.model_copy(update={"type": name, "type_prefix": None})).counts)
    return counts


def begin(action: str, selection: Selection, *, reason: str, bulk_id: uuid.UUID) -> Begun:
    """Enqueue an action on all jobs that match now, for whoever acts. Roles are the caller's to check.

    The same action on the same filter that is under way is returned instead: two people who press at once begin one.
    Give a `bulk_id` made before the request, so that its repeat begins nothing either. Raise `UniqueConflict` when the key
    by which the same is known belongs to a job that is none: anybody may give a job any key.
    """
    if action not in ACTIONS:
        msg = f"{action!r} is no action: known are {', '.join(ACTIONS)}"
        raise ValueError(msg)
    who = audit.current()
    payload = {"action": action, "filter": selection.facts(), "by": (who.name or who.key)[:200], "reason": reason}
    options = Options(
        job_id=bulk_id, unique_key=f"{TYPE}:{action}:{selection.digest()}", on_conflict="return_existing", tags=["bulk"],
    )
    with transaction.atomic():
        now = _database_now()
        placed = place(TYPE, payload, options)
        if placed.created:
            facts = selection.before(now).facts()
            Bulk.objects.create(
                id=placed.id, action=action, selection=facts, actor=asdict(who), reason=reason, created_at=now,
            )
            said = {"action": action, "filter": facts, "reason": reason}
            audit.record(action="bulk.begin", target=f"job:{placed.id}", after=said)
        elif not Bulk.objects.filter(id=placed.id).exists():
            raise UniqueConflict(placed.id, unique_key=options.unique_key or "")
    return Begun(id=placed.id, created=placed.created)


def find(bulk_id: uuid.UUID) -> Bulk:
    """Return a bulk action, or raise `JobNotFound`."""
    found = Bulk.objects.filter(id=bulk_id).first()
    if found is None:
        raise JobNotFound(bulk_id)
    return found


def perform(job: Attempt, *, batch: int = BATCH) -> Bulk:
    """Do what was begun, from where the last attempt came to, on behalf of whoever asked; raise `NotBegun` for others."""
    bulk = Bulk.objects.filter(id=job.id).first()
    if bulk is None:
        raise NotBegun(job.id)
    selection = Selection.model_validate(bulk.selection)
    with audit.acting(audit.Actor(**bulk.actor)):
        if bulk.begun_at is None:
            _count(job, selection)
        while bulk.ended_at is None:
            try:
                job.check()
            except Cancelled:
                _tell("bulk.stop", find(job.id))
                raise
            bulk = _batch(job, selection, size=batch)
            job.progress(bulk.done + bulk.refused, bulk.total, f"{bulk.done} done, {bulk.refused} refused")
    return bulk


def _count(job: Attempt, selection: Selection) -> None:
    walk = selection.walk(newest_first=False, fields=("id", "status"))
    found = walk.tally("status", most=MOST_COUNTED, seconds=COUNTED_SECONDS)
    with job.transaction():
        Bulk.objects.filter(id=job.id).update(total=found.total if found.complete else None, begun_at=_database_now())


def _batch(job: Attempt, selection: Selection, *, size: int) -> Bulk:
    """Act on the next jobs and move the place behind them, in one commit under the fence of the job."""
    with job.transaction():
        bulk = Bulk.objects.get(id=job.id)
        after: Place | None = (bulk.place_at, bulk.place_id) if bulk.place_at else None
        walk = selection.walk(newest_first=False, fields=("id", "created_at"))
        span = walk.go(after, limit=size, seconds=LOOK_SECONDS)
        who = audit.current()
        ids = [row.id for row in span.rows if row.id != job.id]
        acted = many.act(bulk.action, ids, reason=f"{bulk.action} by {who.name or who.key}: {bulk.reason}")
        bulk.done += len(acted.done)
        bulk.refused += len(acted.refused)
        bulk.refusals = [*bulk.refusals, *map(str, acted.refused.values())][:REFUSALS_KEPT]
        if span.ended:
            bulk.ended_at = _database_now()
            _tell("bulk.end", bulk)
        elif span.place is not None:
            bulk.place_at, bulk.place_id = span.place
        bulk.save()
    return bulk


def _tell(action: str, bulk: Bulk) -> None:
    facts = {"done": bulk.done, "refused": bulk.refused, "total": bulk.total, "reason": bulk.reason}
    audit.record(action=action, target=f"job:{bulk.id}", after=facts)


def _database_now() -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        now: datetime = cursor.fetchone()[0]
    return now
