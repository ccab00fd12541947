from argparse import ArgumentParser
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from core.locking.trial import Trial
from core.management.arguments import duration, number
from core.management.output import PlatformCommand, Refused, listing
from core.read_only import refuse


class Command(PlatformCommand):
    help = "Measure how fast locks are acquired and released in the store at LOCKS_URL, under names of its own that it takes away again."

    def arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--for", type=duration, dest="span", metavar="TIME", default=timedelta(seconds=5), help="default: 5s")
        parser.add_argument("--threads", type=number(1, 64), default=1, help="default: 1")
        parser.add_argument("--names", type=number(1, 10_000), default=64, help="default: 64")
        parser.add_argument("--contended", action="store_true", help="all threads want one name")

    def act(self, *, span: timedelta, threads: int, names: int, contended: bool, **_: Any) -> None:
        refuse()
        trial = Trial(threads=threads, names=names, seconds=span.total_seconds(), contended=contended)
        figures = asdict(trial.run())
        self.answer(figures, text=listing(figures))
        if figures["failed"]:
            raise Refused(f"{figures['failed']} acquires failed")
