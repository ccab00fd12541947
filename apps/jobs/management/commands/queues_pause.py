import getpass
from argparse import ArgumentParser
from typing import Any

from apps.jobs import services as jobs
from apps.jobs.management.output import MutatingCommand
from core.management.arguments import remark


class Command(MutatingCommand):
    help = "Pause a queue for the whole fleet: what runs goes on, nothing more is claimed."

    def arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", metavar="NAME", help="as queues_list shows it")
        parser.add_argument("--reason", default="", type=remark, help="shown to whoever asks why jobs wait")

    def act(self, *, name: str, reason: str, **_: Any) -> None:
        jobs.pause(name, by=_who(), reason=reason)
        text = f"{'would pause' if self.dry_run else 'paused'} {name}"
        facts = {"name": name, "paused": not self.dry_run, "detail": text, "dry_run": self.dry_run}
        self.answer(facts, text=text)


def _who() -> str:
    try:
        return f"{getpass.getuser()} at a terminal"
    except (KeyError, OSError):   # a container's user may have no name
        return "somebody at a terminal"
