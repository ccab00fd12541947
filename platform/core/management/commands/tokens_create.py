import json
import re
from argparse import ArgumentParser, ArgumentTypeError
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from core.api import tokens
from core.api.roles import Role
from core.management.operating import operating
from core.read_only import ReadOnly

MOST_DAYS = 36_500
UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}


class Command(BaseCommand):
    help = "Create an API token and print it, this once: only its hash is kept."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="who or what will use it")
        parser.add_argument("--role", required=True, choices=Role.values)
        life = parser.add_mutually_exclusive_group()
        life.add_argument(
            "--expires", type=_life, metavar="TIME", help="how long it is good for: 90m, 12h, 30d; without it, until revoked",
        )
        life.add_argument("--expires-days", type=int, help="the same in days")
        parser.add_argument("--json", action="store_true", help='print {"token": …} with its facts')
        parser.add_argument("--dry-run", action="store_true", help="say what would be created, and create nothing")

    def handle(self, **options: Any) -> None:
        try:
            with operating():
                self.create(**options)
        except ReadOnly as exc:
            raise CommandError(str(exc)) from exc

    def create(
        self, *, name: str, role: str, expires_days: int | None, expires: timedelta | None, **options: Any,
    ) -> None:
        """Create it, or say what would be created."""
        if not 0 < len(name) <= 100:
            raise CommandError("the name must have 1 to 100 characters")
        if expires_days is not None and not 1 <= expires_days <= MOST_DAYS:
            raise CommandError(f"--expires-days must be between 1 and {MOST_DAYS}")
        life = timedelta(days=expires_days) if expires_days else expires
        if options["dry_run"]:
            until = f"for {life}" if life else "until revoked"
            said = f"would create a token {name!r} with role {role}, good {until}"
            if options["json"]:
                self.stdout.write(json.dumps({"token": None, "name": name, "role": role, "detail": said, "dry_run": True}))
            else:
                self.stderr.write(said)
            return
        new = tokens.create(name=name, role=Role(role), life=life)
        if options["json"]:
            new.row.refresh_from_db()
            expires_at = new.row.expires_at.isoformat() if new.row.expires_at else None
            facts = {"token": new.token, "prefix": f"lw_{new.row.prefix}", "name": name, "role": role}
            self.stdout.write(json.dumps({**facts, "expires_at": expires_at}))
        else:
            self.stdout.write(new.token)


def _life(text: str) -> timedelta:
    found = re.fullmatch(r"(\d{1,8})([mhd])", text, re.ASCII)
    life = int(found[1]) * UNITS[found[2]] if found and int(found[1]) * UNITS[found[2]].days <= MOST_DAYS else None
    if not life or life > timedelta(days=MOST_DAYS):
        raise ArgumentTypeError(f"{text!r} is no length of time up to {MOST_DAYS} days: write 90m, 12h or 30d")
    return life
