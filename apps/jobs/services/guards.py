"""Locks that are named after a worker's start or a job, and what became of those: for whoever removes them."""

from collections.abc import Collection, Mapping
from datetime import timedelta
from uuid import UUID

from django.db.models.functions import Now

from apps.jobs.lifecycle import FINISHED
from apps.jobs.models import Job, Worker
from core.locking.pruning import Fate, Fates

WORKER, JOB = "worker:", "job:"     # as the engine names them
GRACE = timedelta(minutes=10)       # what has just ended may still be giving its lock back


def workers(names: Collection[str]) -> Mapping[str, Fate]:
    """Return what became of the worker starts that these locks stand for."""
    ids = _ids(names, prefix=WORKER)
    known = Worker.objects.filter(id__in=ids.values())
    ended = set(known.filter(ended_at__lt=Now() - GRACE).values_list("id", flat=True))
    return _fates(ids, known=set(known.values_list("id", flat=True)), ended=ended)


def jobs(names: Collection[str]) -> Mapping[str, Fate]:
    """Return what became of the jobs that these locks guard. A dead letter has ended: its next attempt has a new row."""
    ids = _ids(names, prefix=JOB)
    known = Job.objects.filter(id__in=ids.values())
    ended = set(known.filter(status__in=FINISHED, finished_at__lt=Now() - GRACE).values_list("id", flat=True))
    return _fates(ids, known=set(known.values_list("id", flat=True)), ended=ended)


KINDS: Mapping[str, Fates] = {WORKER: workers, JOB: jobs}


def _ids(names: Collection[str], *, prefix: str) -> dict[str, UUID]:
    """Return the ids in these names; a name with none in it is somebody's own, and is left out."""
    found = {}
    for name in names:
        try:
            found[name] = UUID(name.removeprefix(prefix))
        except ValueError:
            continue
    return {name: each for name, each in found.items() if name == f"{prefix}{each}"}


def _fates(ids: Mapping[str, UUID], *, known: set[UUID], ended: set[UUID]) -> dict[str, Fate]:
    def fate(each: UUID) -> Fate:
        if each in ended:
            return Fate.ENDED
        return Fate.LIVES if each in known else Fate.UNKNOWN

    return {name: fate(each) for name, each in ids.items()}
