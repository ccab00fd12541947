import uuid
from typing import Any

from apps.jobs import services as jobs
from apps.jobs.management.actions import JobAction


class Command(JobAction):
    help = "Queue finished jobs again, with as many attempts more as their types have; their history stays."
    verb, done = "retry", "retried"

    def apply(self, one: uuid.UUID, **_: Any) -> None:
        jobs.retry(one)
