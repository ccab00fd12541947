import uuid
from typing import Any

from apps.jobs import services as jobs
from apps.jobs.management.actions import JobAction


class Command(JobAction):
    help = "Make waiting jobs ready now, whatever their time or back-off."
    verb, done = "run", "made ready"

    def apply(self, one: uuid.UUID, **_: Any) -> None:
        jobs.run(one)
