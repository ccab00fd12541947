"""Django's admin over jobs: one file a noun. It looks by index and acts through services, as `core.admin` says."""

from apps.jobs.admin.artifacts import ArtifactAdmin
from apps.jobs.admin.attempts import AttemptAdmin
from apps.jobs.admin.bulk import BulkAdmin
from apps.jobs.admin.jobs import JobAdmin
from apps.jobs.admin.ledger import StaleWriteAdmin
from apps.jobs.admin.queues import QueueAdmin
from apps.jobs.admin.schedules import ScheduleAdmin
from apps.jobs.admin.workers import WorkerAdmin

__all__ = ["ArtifactAdmin", "AttemptAdmin", "BulkAdmin", "JobAdmin", "QueueAdmin", "ScheduleAdmin", "StaleWriteAdmin",
           "WorkerAdmin"]
