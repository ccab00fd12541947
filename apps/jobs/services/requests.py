"""Jobs that somebody asks for through the API or a command: enqueued as by anybody, and told to the audit."""

from collections import Counter
from collections.abc import Sequence

from django.conf import settings
from django.db import transaction

from apps.jobs.services import roles
from apps.jobs.services.enqueue import Enqueued, place, place_many
from apps.jobs.services.options import Options
from core import audit


def request(type_name: str, payload: object, options: Options) -> Enqueued:
    """Store one job for whoever acts, as `place` does, and write who that was."""
    roles.check_enqueue(type_name)
    if not settings.AUDIT_ENQUEUE:
        return place(type_name, payload, options)
    with transaction.atomic():
        placed = place(type_name, payload, options)
        if placed.created:
            audit.record(action="job.enqueue", target=f"job:{placed.id}", after={"type": type_name})
    return placed


def request_many(jobs: Sequence[tuple[str, object, Options]]) -> list[Enqueued]:
    """Store jobs for whoever acts, as `place_many` does. One entry tells of all: they carry its request id."""
    for type_name in {type_name for type_name, _, _ in jobs}:
        roles.check_enqueue(type_name)
    if not settings.AUDIT_ENQUEUE:
        return place_many(jobs)
    with transaction.atomic():
        placed = place_many(jobs)
        made = [(each.id, job[0]) for each, job in zip(placed, jobs, strict=True) if each.created]
        if made:
            types = Counter(type_name for _, type_name in made)
            facts = {"count": len(made), "types": dict(types), "first": made[0][0], "last": made[-1][0]}
            audit.record(action="job.enqueue", target=f"job:{made[0][0]}", after=facts)
    return placed
