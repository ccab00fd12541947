import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from core.api import tokens
from core.api.models import ApiToken

COLUMNS = ("prefix", "name", "role", "state", "created_at", "last_used_at", "expires_at", "revoked_at")


class Command(BaseCommand):
    help = "List the API tokens, never the secrets: those are not kept."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true")

    def handle(self, **options: Any) -> None:
        usable = set(tokens.usable().values_list("pk", flat=True))
        rows = [_facts(row, usable=row.pk in usable) for row in ApiToken.objects.order_by("pk")]
        if options["json"]:
            self.stdout.write(json.dumps(rows))
            return
        for row in rows:
            used = row["last_used_at"] or "never used"
            self.stdout.write(f"{row['prefix']}  {row['role']:<8}  {row['state']:<7}  {used:<32}  {row['name']}")
        if not rows:
            self.stderr.write("no tokens yet: tokens_create NAME --role operator makes one")


def _facts(row: ApiToken, *, usable: bool) -> dict[str, str | None]:
    state = "usable" if usable else "revoked" if row.revoked_at else "expired"
    times = {
        name: value.isoformat() if (value := getattr(row, name)) else None
        for name in COLUMNS if name.endswith("_at")
    }
    return {"prefix": f"lw_{row.prefix}", "name": row.name, "role": row.role, "state": state, **times}
