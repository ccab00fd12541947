import uuid
from argparse import ArgumentParser
from typing import Any

from apps.jobs import services as jobs
from apps.jobs.management.actions import JobAction


class Command(JobAction):
    help = "End waiting jobs at once, and ask running ones to stop: their workers hear of it within a second."
    verb, done = "cancel", "cancelled, or asked to stop:"

    def arguments(self, parser: ArgumentParser) -> None:
        super().arguments(parser)
        parser.add_argument("--reason", default="cancelled on request", help="stored as the job's error")

    def apply(self, one: uuid.UUID, *, reason: str, **_: Any) -> None:
        jobs.cancel(one, reason=reason)
