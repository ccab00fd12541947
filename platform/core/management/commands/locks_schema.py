from argparse import ArgumentParser, ArgumentTypeError
from datetime import timedelta
from typing import Any

from core.locking import schema
from core.management.arguments import duration
from core.management.output import MutatingCommand

FORM = "write a number for all data centres, as in 3, or one for each, as in dc1=3,dc2=3"


class Command(MutatingCommand):
    help = "Make the tables of the locks in the store at LOCKS_URL, where they are missing, and wait until every node has them."

    def arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--replicas", type=replicas, default=3, metavar="N", help="of a keyspace that is made now: 3, or dc1=3,dc2=3; default: 3",
        )
        parser.add_argument("--wait", type=duration, default=timedelta(minutes=1), help="for the cluster; default: 1m")

    def act(self, *, replicas: dict[str, int] | int, wait: timedelta, **_: Any) -> None:
        statements = schema.statements(replicas=replicas)
        if self.dry_run:
            self.answer({"statements": statements, "dry_run": True}, text=";\n\n".join(statements) + ";")
            return
        schema.make(replicas=replicas, wait=wait, say=self.note)
        self.answer({"made": True, "dry_run": False}, text="the tables of the locks are there")


def replicas(text: str) -> dict[str, int] | int:
    """Read how many replicas there shall be."""
    if text.isascii() and text.isdecimal():
        return _count(text)
    found = {}
    for part in text.split(","):
        name, equals, count = part.partition("=")
        if not (name and equals):
            raise ArgumentTypeError(f"{text!r} says no replicas: {FORM}")
        found[name] = _count(count)
    return found


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 0 < int(text) < 100):
        raise ArgumentTypeError(f"{text!r} is no number of replicas: {FORM}")
    return int(text)
