"""Which role a type asks for, of whoever acts."""

from apps.jobs import registry
from apps.jobs.errors import RoleNeeded
from apps.jobs.models import Job
from core import audit
from core.api.roles import Role


def check_enqueue(type_name: str) -> None:
    """Raise `RoleNeeded` when whoever acts may not ask for a job of this type; a type that is not known passes."""
    known = registry.find(type_name)
    if known is not None and (why := _refusal("enqueue", type_name, known.enqueue_role)) is not None:
        raise why


def check(action: str, job: Job) -> None:
    """Raise `RoleNeeded` when whoever acts may not do this to the job."""
    if (why := refusal(action, job)) is not None:
        raise why


def refusal(action: str, job: Job) -> RoleNeeded | None:
    """Return why whoever acts may not do this to the job, if so. Type and payload of a job never change."""
    known = registry.find(job.type)
    return None if known is None else _refusal(action, job.type, known.role_to_act(lambda: job.payload))


def closed_types() -> list[str]:
    """Return the types on whose jobs whoever acts may not act, whatever their payload is."""
    fixed = {each.name: each.act_role or each.enqueue_role for each in registry.all_types()}
    return [name for name, role in fixed.items() if isinstance(role, Role) and _refusal("act on", name, role) is not None]


def _refusal(action: str, type_name: str, needed: Role) -> RoleNeeded | None:
    who = audit.current()
    if who.channel == audit.SYSTEM.channel or (who.role and Role(who.role).covers(needed)):
        return None
    return RoleNeeded(action, type_name=type_name, role=needed.value)
