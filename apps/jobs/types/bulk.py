"""`system.bulk`: an action on all jobs that match a filter, begun in the admin."""

from datetime import timedelta
from typing import Any, Literal

import pydantic

from apps.jobs.outcomes import JSON, Discard, Outcome
from apps.jobs.registry import Context, job_type
from apps.jobs.retry import Exponential
from apps.jobs.selection import Selection
from apps.jobs.services import bulk
from core.api.roles import Role


class BulkPayload(pydantic.BaseModel):
    """What was asked for, for whoever looks at the job; what may be done, the row of the bulk action says."""

    model_config = pydantic.ConfigDict(extra="forbid")

    action: Literal["retry", "cancel", "run", "discard"]
    filter: Selection
    by: str = pydantic.Field(max_length=200)
    reason: str = pydantic.Field(max_length=500)


def _acted_on_by(payload: dict[str, Any]) -> Role:
    """Whoever may retry may not discard: a discard of all that match is stopped and gone on with by somebody who may."""
    return Role.ADMIN if payload.get("action") == "discard" else Role.OPERATOR


@job_type(
    bulk.TYPE, payload=BulkPayload, priority=0,   # it may be about those that stand in line before it
    timeout=timedelta(hours=2), max_attempts=20, retry=Exponential(base=1, cap=60),   # each attempt goes on where one ended
    batch=1, enqueue_role=Role.ADMIN, act_role=_acted_on_by,
)
def act_on_all(job: Context, _payload: BulkPayload) -> Outcome | JSON:
    """Retry, cancel, run or discard all jobs that match a filter, in batches, on behalf of whoever began it.

    Begin it in the admin. A job of this type that comes by another way is refused: it does nothing.
    """
    try:
        done = bulk.perform(job)
    except bulk.NotBegun as exc:
        return Discard(str(exc))
    return {"done": done.done, "refused": done.refused, "total": done.total, "refusals": done.refusals}
