"""Remove what is kept no longer. The system's own task does it each hour; a person may do it now."""

from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now

from apps.jobs.lifecycle import Status
from apps.jobs.models import Job, StaleWrite
from apps.jobs.transitions import prune as pruning
from apps.jobs.transitions.statement import on_django

BATCH = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """How many rows of each kind went, or would go."""

    jobs: int
    stale_writes: int
    workers: int


def prune(*, keep: timedelta, batch: int = BATCH) -> Pruned:
    """Delete what ended longer than `keep` ago, a batch a transaction so that nobody waits. Dead letters stay."""
    jobs = ledger = 0
    while True:
        with transaction.atomic():
            gone = pruning.prune_jobs(on_django(), keep=keep, limit=batch).get()
        jobs += gone
        if gone < batch:
            break
    while True:
        gone = pruning.prune_ledger(on_django(), keep=keep, limit=batch).get()
        ledger += gone
        if gone < batch:
            break
    workers = pruning.prune_workers(on_django(), keep=keep).get()
    return Pruned(jobs=jobs, stale_writes=ledger, workers=workers)


def prunable(*, keep: timedelta) -> Pruned:
    """Count what `prune` would delete of jobs and refused writes, from their indexes on time."""
    old = Q(finished_at__lt=Now() - keep, status__in=[Status.COMPLETED, Status.CANCELLED])
    ledger = StaleWrite.objects.filter(at__lt=Now() - keep).count()
    return Pruned(jobs=Job.objects.filter(old).count(), stale_writes=ledger, workers=0)
