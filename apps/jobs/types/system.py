"""What the platform does for itself, as jobs like any other."""

from collections.abc import Callable
from dataclasses import asdict
from datetime import timedelta
from importlib import import_module

import pydantic
from django.conf import settings

from apps.jobs.conf import config
from apps.jobs.outcomes import JSON
from apps.jobs.registry import Context, job_type
from apps.jobs.services import artifacts, guards, retention
from core.api.roles import Role
from core.audit import chain
from core.locking import pruning
from core.locking.errors import LockOutcomeUnknown, LocksAway

IDEMPOTENCY_BATCH = 1000


class Nothing(pydantic.BaseModel):
    """A payload without members."""

    model_config = pydantic.ConfigDict(extra="forbid")


@job_type(
    "system.prune", payload=Nothing, priority=9, max_attempts=3, enqueue_role=Role.ADMIN,
    timeout=timedelta(minutes=30),   # what an interrupted run has removed stays removed, and the next hour goes on
)
def prune(job: Context, _payload: Nothing) -> JSON:
    """Remove what is kept no longer: finished jobs, evidence, ended workers, answers to repeated requests, sessions, files, locks.

    Dead letters stay. Old counts are merged into hours, then days: their sums stay what they are.
    """
    pruned = retention.prune(keep=config().retention, between=job.check)
    merged = retention.compact_counts()
    job.check()
    records = _idempotency_records(job.check)
    while chain.seal():   # what was more than the minute's share
        job.check()
    import_module(settings.SESSION_ENGINE).SessionStore.clear_expired()
    locks = _locks(job)
    files = artifacts.prune(between=job.check)   # last: a storage that is away holds up nothing else
    counts = {**asdict(pruned), "merged_counts": merged, "idempotency_records": records, **locks, **asdict(files)}
    job.logger.info("system.pruned", **counts)
    return counts


def _locks(job: Context) -> dict[str, int]:
    """Remove locks whose worker or job has ended, and others that nobody uses; a store that is away has them an hour longer."""
    try:
        pruned = pruning.prune(kinds=guards.KINDS, keep=config().retention, between=job.check)
    except (LocksAway, LockOutcomeUnknown) as exc:
        job.logger.warning("system.locks_kept", error=str(exc))
        return {"locks": 0, "dead_holders": 0}
    return asdict(pruned)


def _idempotency_records(check: Callable[[], None]) -> int:
    from core.api import idempotency  # noqa: PLC0415  it brings the HTTP interface, which workers do without all the hour

    total = 0
    while True:
        gone = idempotency.prune(limit=IDEMPOTENCY_BATCH)
        total += gone
        if gone < IDEMPOTENCY_BATCH:
            return total
        check()
