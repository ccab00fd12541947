import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from core.api import tokens
from core.management.operating import operating
from core.read_only import ReadOnly


class Command(BaseCommand):
    help = "Revoke API tokens by prefix: whoever uses them is refused from now on."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("prefixes", nargs="+", metavar="PREFIX", help="as tokens_list shows it: lw_1a2b3c4d")
        parser.add_argument("--dry-run", action="store_true", help="say what would be revoked, and revoke nothing")
        parser.add_argument("--json", action="store_true")

    def handle(self, *, prefixes: list[str], **options: Any) -> None:
        try:
            with operating():
                rows = tokens.select(prefixes) if options["dry_run"] else tokens.revoke(prefixes)
        except (tokens.UnknownToken, ReadOnly) as exc:
            raise CommandError(str(exc)) from exc
        if options["json"]:
            revoked = [f"lw_{row.prefix}" for row in rows]
            self.stdout.write(json.dumps({"revoked": revoked, "dry_run": options["dry_run"]}))
            return
        for row in rows:
            self.stdout.write(f"{'would revoke' if options['dry_run'] else 'revoked'} {row}")
