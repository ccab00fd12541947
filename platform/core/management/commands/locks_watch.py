from argparse import ArgumentParser
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from core import clock
from core.locking import looking, watching
from core.management.arguments import duration
from core.management.output import PlatformCommand, in_json, shown


class Command(PlatformCommand):
    help = "Print what happens to locks as it is seen, until Ctrl-C; with --json one object a line."

    def arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--prefix", default="", help="names that begin so: payment:")
        parser.add_argument("--every", type=duration, default=timedelta(seconds=1), help="between two looks; default: 1s")
        parser.add_argument("--for", type=duration, dest="span", metavar="TIME", help="end by itself after that long")

    def act(self, *, prefix: str, every: timedelta, span: timedelta | None, **_: Any) -> None:
        until = None if span is None else clock.elapsed() + span.total_seconds()
        try:
            for change in watching.watch(lambda: looking.everything(prefix=prefix), every=every, until=until):
                held = f" by {change.holder}" if change.holder else ""
                text = f"{change.at:%H:%M:%S.%f}Z  {change.what:<9}  {shown(change.name)}  token {change.token}{shown(held)}"
                self.stdout.write(in_json(asdict(change)) if self.as_json else text)
                self.stdout.flush()
        except KeyboardInterrupt:
            self.note("")
