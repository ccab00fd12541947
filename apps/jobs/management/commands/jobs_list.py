from argparse import ArgumentParser
from typing import Any

from apps.jobs import selectors
from apps.jobs.lifecycle import Status
from apps.jobs.management import facts
from apps.jobs.management.output import PlatformCommand, table
from core.management.arguments import moment, number

COLUMNS = {
    "id": "ID", "type": "TYPE", "status": "STATUS", "queue": "QUEUE", "priority": "PRIO", "attempt": "ATTEMPT",
    "run_at": "RUN AT", "finished_at": "FINISHED AT",
}   # fmt: skip


class Command(PlatformCommand):
    help = "List jobs, newest first."

    def arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--status", action="append", choices=Status.values, help="may be repeated")
        parser.add_argument("--type")
        parser.add_argument("--queue")
        parser.add_argument("--tag")
        parser.add_argument("--created-after", type=moment, metavar="TIME", help="as in 2030-01-31T09:00:00Z")
        parser.add_argument("--created-before", type=moment, metavar="TIME")
        parser.add_argument("--limit", type=number(1, 10_000), default=50, help="default: 50")

    def act(self, *, limit: int, **options: Any) -> None:
        wanted = {
            "status__in": options["status"], "type": options["type"], "queue": options["queue"],
            "tags__contains": [options["tag"]] if options["tag"] else None,
            "created_at__gt": options["created_after"], "created_at__lt": options["created_before"],
        }   # fmt: skip
        rows = selectors.jobs().filter(**{field: value for field, value in wanted.items() if value is not None})
        items = [facts.of_job(row) for row in rows[:limit]]
        self.answer(items, text=table(items, columns=COLUMNS))
        if len(items) == limit:
            self.note(f"there may be more: --limit {limit}")
