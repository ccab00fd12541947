from typing import Any

from apps.jobs import selectors
from apps.jobs.management import facts
from apps.jobs.management.output import PlatformCommand, age, table

COLUMNS = {
    "name": "QUEUE", "waiting": "WAITING", "running": "RUNNING", "oldest": "OLDEST WAITS", "paused_at": "PAUSED AT",
    "paused_by": "BY", "paused_reason": "REASON",
}   # fmt: skip


class Command(PlatformCommand):
    help = "List the queues with what waits and runs in them, and which are paused."

    def act(self, **_: Any) -> None:
        items = [facts.of_queue(state) for state in selectors.queues()]
        rows = [{**item, "oldest": age(item["oldest_waiting_seconds"])} for item in items]
        self.answer(items, text=table(rows, columns=COLUMNS))
