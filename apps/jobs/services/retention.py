"""Remove what is kept no longer. The system's own task does it each hour; a person may do it now."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Now

from apps.jobs.lifecycle import Status
from apps.jobs.models import Bulk, Job, StaleWrite
from apps.jobs.transitions import prune as pruning
from apps.jobs.transitions.statement import Reply, on_django
from core import audit

BATCH = 1000
MINUTES, HOURS = timedelta(hours=2), timedelta(days=30)   # how long counts are kept so fine


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """How many rows of each kind went, or would go."""

    jobs: int
    stale_writes: int
    workers: int


def prune(*, keep: timedelta, batch: int = BATCH, between: Callable[[], object] = lambda: None) -> Pruned:
    """Delete what ended longer than `keep` ago, a batch a transaction so that nobody waits. Dead letters stay.

    `between` is called between two batches, and may raise to end it there.
    """
    if audit.current() is not audit.SYSTEM:   # told before the first batch: it may be interrupted after any
        audit.record(action="jobs.prune", target="jobs", after={"older_than_seconds": keep.total_seconds()})
    jobs = _in_batches(lambda: pruning.prune_jobs(on_django(), keep=keep, limit=batch), batch=batch, between=between)
    ledger = _in_batches(lambda: pruning.prune_ledger(on_django(), keep=keep, limit=batch), batch=batch, between=between)
    workers = pruning.prune_workers(on_django(), keep=keep).get()
    jobless = ~Exists(Job.objects.filter(id=OuterRef("id")))   # few: people begin them one by one
    Bulk.objects.filter(jobless, created_at__lt=Now() - keep).delete()
    return Pruned(jobs=jobs, stale_writes=ledger, workers=workers)


def _in_batches(delete: Callable[[], Reply[int]], *, batch: int, between: Callable[[], object]) -> int:
    total = 0
    while True:
        with transaction.atomic():
            gone = delete().get()
        total += gone
        if gone < batch:
            return total
        between()


def compact_counts() -> int:
    """Merge counts of minutes into hours after two hours, hours into days after thirty days; how many rows went in."""
    return sum(
        pruning.compact_tallies(on_django(), keep=keep, unit=unit).get() for keep, unit in ((MINUTES, "hour"), (HOURS, "day"))
    )


def prunable(*, keep: timedelta) -> Pruned:
    """Count what `prune` would delete of jobs and refused writes, from their indexes on time."""
    old = Q(finished_at__lt=Now() - keep, status__in=[Status.COMPLETED, Status.CANCELLED])
    ledger = StaleWrite.objects.filter(at__lt=Now() - keep).count()
    return Pruned(jobs=Job.objects.filter(old).count(), stale_writes=ledger, workers=0)
