from dataclasses import asdict
from typing import Any

from apps.jobs.management.output import MutatingCommand, listing
from apps.jobs.services import artifacts


class Command(MutatingCommand):
    help = (
        "Delete artifacts whose time is over, the files that no artifact names any more, and files of a day or older "
        "that nobody ever named. The platform does the same each hour."
    )

    def act(self, **_: Any) -> None:
        pruned = artifacts.prunable() if self.dry_run else artifacts.prune()
        counts = asdict(pruned)
        heading = "would delete" if self.dry_run else "deleted"
        text = listing({name.replace("_", " "): count for name, count in counts.items()})
        self.answer({**counts, "dry_run": self.dry_run}, text=f"{heading}\n{text}")
