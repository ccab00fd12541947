from typing import Any

from apps.jobs import selectors
from apps.jobs.management.output import PlatformCommand, age, listing, table

COLUMNS = {"name": "QUEUE", "waiting": "WAITING", "running": "RUNNING", "oldest": "OLDEST WAITS", "paused": "PAUSED"}


class Command(PlatformCommand):
    help = "Count the jobs of the whole platform, by status and by queue."

    def act(self, **_: Any) -> None:
        stats = selectors.stats()
        queues = [
            {**state, "name": name, "oldest": age(state["oldest_waiting_seconds"])}
            for name, state in stats["queues"].items()
        ]
        counts = {**stats["by_status"], "in all": stats["total_jobs"]}
        self.answer(stats, text=f"{listing(counts)}\n\n{table(queues, columns=COLUMNS)}")
