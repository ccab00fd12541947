import uuid
from argparse import ArgumentParser
from typing import Any

from apps.jobs import selectors
from apps.jobs.management import facts
from apps.jobs.management.arguments import job_id
from apps.jobs.management.output import PlatformCommand, table
from core.management.arguments import number

COLUMNS = {
    "id": "ID", "name": "NAME", "content_type": "TYPE", "size": "BYTES", "job": "JOB", "expires_at": "KEPT UNTIL",
}   # fmt: skip


class Command(PlatformCommand):
    help = "List artifacts, newest first: files that came in with requests, or that jobs made."

    def arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--job", type=job_id, metavar="ID", help="of this job alone")
        parser.add_argument("--limit", type=number(1, 10_000), default=50, help="default: 50")

    def act(self, *, job: uuid.UUID | None, limit: int, **_: Any) -> None:
        rows = selectors.artifacts() if job is None else selectors.artifacts_of(job)
        items = [facts.of_artifact(row) for row in rows.order_by("-id")[:limit]]
        shown = [{**item, "job": item["job_id"]} for item in items]
        self.answer(items, text=table(shown, columns=COLUMNS) if items else "there are no artifacts")
        if len(items) == limit:
            self.note(f"there may be more: --limit {limit}")
