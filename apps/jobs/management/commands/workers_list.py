from argparse import ArgumentParser
from typing import Any

from apps.jobs import selectors
from apps.jobs.management import facts
from apps.jobs.management.output import PlatformCommand, table

COLUMNS = {
    "name": "WORKER", "pid": "PID", "pool": "POOL", "slots": "SLOTS", "busy": "RUNNING", "state": "STATE",
    "seen_at": "SEEN AT", "queues": "QUEUES", "id": "ID",
}   # fmt: skip


class Command(PlatformCommand):
    help = "List the workers that have not ended, with what they run and when they were last seen."

    def arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--name", help="the one of this name alone, as in worker1@host")

    def act(self, *, name: str | None, **_: Any) -> None:
        rows = selectors.workers() if name is None else selectors.workers().filter(name=name)
        items = [facts.of_worker(row) for row in rows]
        lines = [
            {**item, "busy": len(item["running"]), "state": "stopping" if item["stopping_at"] else "working"}
            for item in items
        ]
        self.answer(items, text=table(lines, columns=COLUMNS) if items else "no worker is alive")
