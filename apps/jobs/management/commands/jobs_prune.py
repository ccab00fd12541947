from argparse import ArgumentParser
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from apps.jobs.conf import config
from apps.jobs.management.output import MutatingCommand, listing
from apps.jobs.services import retention
from core.management.arguments import duration


class Command(MutatingCommand):
    help = (
        "Delete completed and cancelled jobs, refused writes and ended workers that are older than retention says. "
        "Dead letters stay until somebody retries or discards them."
    )

    def arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--older-than", type=duration, metavar="TIME", help="7d, 12h, … instead of JOBS_RETENTION_DAYS",
        )

    def act(self, *, older_than: timedelta | None, **_: Any) -> None:
        keep = config().retention if older_than is None else older_than
        pruned = retention.prunable(keep=keep) if self.dry_run else retention.prune(keep=keep)
        facts = {name.replace("_", " "): count for name, count in asdict(pruned).items()}
        heading = "would delete" if self.dry_run else "deleted"
        self.answer({**asdict(pruned), "dry_run": self.dry_run}, text=f"{heading}\n{listing(facts)}")
