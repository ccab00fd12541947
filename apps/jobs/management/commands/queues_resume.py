from argparse import ArgumentParser
from typing import Any

from apps.jobs import services as jobs
from apps.jobs.management.output import MutatingCommand


class Command(MutatingCommand):
    help = "Resume a paused queue, at once for the whole fleet."

    def arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", metavar="NAME", help="as queues_list shows it")

    def act(self, *, name: str, **_: Any) -> None:
        resumed = jobs.resume(name)
        done = f"{'would resume' if self.dry_run else 'resumed'} {name}"
        text = done if resumed else f"{name} was not paused"
        facts = {"name": name, "resumed": resumed and not self.dry_run, "detail": text, "dry_run": self.dry_run}
        self.answer(facts, text=text)
