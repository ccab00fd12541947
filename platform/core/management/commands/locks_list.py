from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from core.locking import looking
from core.locking.looking import Sight
from core.management.arguments import number
from core.management.output import PlatformCommand, age, table

COLUMNS = {
    "name": "LOCK", "state": "STATE", "token": "TOKEN", "holder": "HOLDER", "age": "HELD FOR", "free": "FREE IN",
    "renewals": "RENEWALS", "waiters": "WAITERS",
}
MOST = 10_000


class Command(PlatformCommand):
    help = "List the locks by name: who has them since when, and how many jobs wait."

    def arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--prefix", default="", help="names that begin so: payment:")
        some = parser.add_mutually_exclusive_group()
        some.add_argument("--held", action="store_const", const=True, dest="held", help="those that somebody has")
        some.add_argument("--free", action="store_const", const=False, dest="held", help="the others")
        parser.add_argument("--limit", type=number(1, MOST), default=200, help="default: 200")

    def act(self, *, prefix: str, held: bool | None, limit: int, **_: Any) -> None:
        found = looking.everything(prefix=prefix, held=held, most=limit)
        self.answer([asdict(each) for each in found], text=as_table(found) if found else "no locks")
        if len(found) == limit:
            self.note(f"there may be more: --limit {limit}")


def as_table(found: list[Sight]) -> str:
    """Return locks for people."""
    rows = [
        {**asdict(each), "age": age(each.age_seconds), "free": age(each.free_in_seconds)} for each in found
    ]
    return table(rows, columns=COLUMNS)
