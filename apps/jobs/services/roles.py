"""Which role a type asks for, of whoever acts."""

from apps.jobs import registry
from apps.jobs.errors import RoleNeeded
from apps.jobs.models import Job
from core import audit
from core.api.roles import Role


def check_enqueue(type_name: str) -> None:
    """Raise `RoleNeeded` when whoever acts may not ask for a job of this type; a type that is not known passes."""
    known = registry.find(type_name)
    if known is not None:
        _check("enqueue", type_name, known.enqueue_role)


def check_retry(job: Job) -> None:
    """Raise `RoleNeeded` when whoever acts may not retry this job. Type and payload of a job never change."""
    known = registry.find(job.type)
    if known is not None:
        _check("retry", job.type, known.role_to_retry(lambda: job.payload))


def _check(action: str, type_name: str, needed: Role) -> None:
    who = audit.current()
    if who.channel != audit.SYSTEM.channel and not (who.role and Role(who.role).covers(needed)):
        raise RoleNeeded(action, type_name=type_name, role=needed.value)
