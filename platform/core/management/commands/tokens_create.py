import json
from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from core.api import tokens
from core.api.roles import Role


class Command(BaseCommand):
    help = "Create an API token and print it, this once: only its hash is kept."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="who or what will use it")
        parser.add_argument("--role", required=True, choices=Role.values)
        parser.add_argument("--expires-days", type=int, help="days that it is good for; without it, until revoked")
        parser.add_argument("--json", action="store_true", help='print {"token": …} with its facts')
        parser.add_argument("--dry-run", action="store_true", help="say what would be created, and create nothing")

    def handle(self, *, name: str, role: str, expires_days: int | None, **options: Any) -> None:
        if not 0 < len(name) <= 100:
            raise CommandError("the name must have 1 to 100 characters")
        if expires_days is not None and not 1 <= expires_days <= 36_500:
            raise CommandError("--expires-days must be between 1 and 36500")
        if options["dry_run"]:
            until = f"for {expires_days} days" if expires_days else "until revoked"
            said = f"would create a token {name!r} with role {role}, good {until}"
            if options["json"]:
                self.stdout.write(json.dumps({"token": None, "name": name, "role": role, "detail": said, "dry_run": True}))
            else:
                self.stderr.write(said)
            return
        life = timedelta(days=expires_days) if expires_days else None
        new = tokens.create(name=name, role=Role(role), life=life)
        if options["json"]:
            new.row.refresh_from_db()
            expires_at = new.row.expires_at.isoformat() if new.row.expires_at else None
            facts = {"token": new.token, "prefix": f"lw_{new.row.prefix}", "name": name, "role": role}
            self.stdout.write(json.dumps({**facts, "expires_at": expires_at}))
        else:
            self.stdout.write(new.token)
