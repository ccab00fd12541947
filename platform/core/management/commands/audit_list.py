import json
from argparse import ArgumentParser
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand

from core.audit import reading
from core.audit.models import AuditEntry
from core.management.arguments import moment, number

COLUMNS = (
    "id", "at", "actor", "actor_name", "role", "channel", "address", "action", "target", "before", "after", "request_id",
)
MOST = 10_000


class Command(BaseCommand):
    help = "List who did what, newest first."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--actor", help="token:1a2b3c4d, user:7, terminal:root or system")
        parser.add_argument("--action", help="as in job.retry or queue.pause")
        parser.add_argument("--target", help="as in job:<id> or queue:mail")
        parser.add_argument("--request-id", help="all that one request did")
        parser.add_argument("--created-after", type=moment, metavar="TIME", help="as in 2030-01-31T09:00:00Z")
        parser.add_argument("--created-before", type=moment, metavar="TIME")
        parser.add_argument("--limit", type=number(1, MOST), default=50, help="default: 50")
        parser.add_argument("--json", action="store_true")

    def handle(self, *, limit: int, **options: Any) -> None:
        names = ("actor", "action", "target", "request_id", "created_after", "created_before")
        rows = list(reading.matching(**{name: options[name] for name in names})[:limit])
        if options["json"]:
            items = [{name: getattr(row, name) for name in COLUMNS} for row in rows]
            self.stdout.write(json.dumps(items, default=datetime.isoformat))
            return
        for row in rows:
            self.stdout.write(_line(row))
        if not rows:
            self.stderr.write("no entries")
        elif len(rows) == limit:
            self.stderr.write(f"there may be more: --limit {limit}")


def _line(row: AuditEntry) -> str:
    changes = "  ".join(
        f"{name}: {_shown(row.before, name)} → {_shown(row.after, name)}" for name in {**(row.before or {}), **(row.after or {})}
    )
    who = f"{row.actor} ({row.actor_name}, {row.address})"
    text = f"{row.at:%Y-%m-%d %H:%M:%S}Z  {row.action:<14}  {row.target}  {who}  {changes}".rstrip()
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)   # a terminal would obey it


def _shown(facts: dict[str, Any] | None, name: str) -> str:
    return json.dumps(facts[name], ensure_ascii=False) if facts and name in facts else "-"
