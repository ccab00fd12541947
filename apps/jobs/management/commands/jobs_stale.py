import uuid
from argparse import ArgumentParser
from typing import Any

from apps.jobs import selectors
from apps.jobs.management import facts
from apps.jobs.management.arguments import job_id
from apps.jobs.management.output import PlatformCommand, table
from core.management.arguments import number

COLUMNS = {"at": "AT", "job_id": "JOB", "fence": "FENCE", "worker": "WORKER", "outcome": "WOULD HAVE"}


class Command(PlatformCommand):
    help = "List the stale ledger: endings that came too late and were refused by a fence, newest first."

    def arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--job", type=job_id, metavar="ID", help="of this job alone")
        parser.add_argument("--limit", type=number(1, 10_000), default=50, help="default: 50")

    def act(self, *, job: uuid.UUID | None, limit: int, **_: Any) -> None:
        rows = selectors.stale() if job is None else selectors.stale().filter(job_id=job)
        items = [facts.of_stale(row) for row in rows[:limit]]
        self.answer(items, text=table(items, columns=COLUMNS) if items else "nothing stale was ever refused")
