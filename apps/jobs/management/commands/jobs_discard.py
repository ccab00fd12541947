import uuid
from typing import Any

from apps.jobs import services as jobs
from apps.jobs.management.actions import JobAction


class Command(JobAction):
    help = "Put dead letters away: they end as cancelled, and retention removes them."
    verb, done = "discard", "discarded"

    def apply(self, one: uuid.UUID, **_: Any) -> None:
        jobs.discard(one)
