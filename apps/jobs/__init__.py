"""Jobs: what a user's module imports. Nothing here imports a model, so that types may be declared anywhere."""

from apps.jobs.outcomes import JSON, Cancel, Discard, Outcome, Retry, Snooze
from apps.jobs.registry import Context, job_type
from apps.jobs.retry import Exponential, Fixed, NoRetry
from core.api.roles import Role

__all__ = [
    "JSON",
    "Cancel",
    "Context",
    "Discard",
    "Exponential",
    "Fixed",
    "NoRetry",
    "Outcome",
    "Retry",
    "Role",
    "Snooze",
    "job_type",
]
