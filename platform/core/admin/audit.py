"""Who did what: the audit, to look at. The database itself refuses to change it."""

from collections.abc import Mapping
from typing import Any

from django.contrib import admin
from django.db import connection

from core.admin.filters import Moments, choice, span
from core.admin.lists import Walking
from core.admin.text import json_block
from core.api.roles import Role
from core.audit.models import AuditEntry
from core.windows import Walk, by_index

# One step of the index an action: whatever was ever done is there to be chosen, and no row is read for it.
_ACTIONS = """
WITH RECURSIVE known AS (
  (SELECT action FROM audit_entry ORDER BY action LIMIT 1)
  UNION ALL
  SELECT (SELECT action FROM audit_entry WHERE action > known.action ORDER BY action LIMIT 1) FROM known
  WHERE known.action IS NOT NULL)
SELECT action FROM known WHERE action IS NOT NULL LIMIT 200"""


def actions() -> list[tuple[str, str]]:
    with by_index(), connection.cursor() as cursor:
        cursor.execute(_ACTIONS)
        return [(action, action) for (action,) in cursor.fetchall()]


@admin.register(AuditEntry)
class AuditAdmin(Walking):
    reads = Role.ADMIN
    list_display = ("id", "at", "actor_name", "role", "channel", "action", "target", "why", "address")
    list_filter = (choice("action", "action", actions), Moments)
    filters = frozenset({"action", "after", "before", "since"})
    search_fields = ("pk",)   # the box is shown; what it finds, `walk` says
    search_help_text = (
        "What was acted on, whole (job:<id>, queue:<name>, token:<prefix>, or a job's id alone), or who acted, whole "
        "(user:<number>, token:<prefix> after by:)."
    )
    fields = (
        "at", "actor_name", "actor", "role", "channel", "address", "action", "target", "before_text", "after_text",
        "request_id",
    )

    def walk(self, given: Mapping[str, str], text: str) -> Walk[AuditEntry]:
        rows = AuditEntry.objects.all()
        if text.startswith("by:"):
            rows = rows.filter(actor=text.removeprefix("by:"))
        elif text:
            rows = rows.filter(target=text if ":" in text else f"job:{text.lower()}")
        if action := given.get("action"):
            rows = rows.filter(action=action)
        after, before = span(dict(given))
        if after is None and before is None:
            return Walk(sources=[rows], order=("id",))
        times = {"at__gte": after, "at__lt": before}
        rows = rows.filter(**{name: value for name, value in times.items() if value is not None})
        return Walk(sources=[rows], order=("at", "id"))

    def why(self, entry: AuditEntry) -> str:
        facts: dict[str, Any] = entry.after if isinstance(entry.after, dict) else {}
        return str(facts.get("reason", "")) or "-"

    @admin.display(description="before")
    def before_text(self, entry: AuditEntry) -> str:
        return json_block(entry.before)

    @admin.display(description="after")
    def after_text(self, entry: AuditEntry) -> str:
        return json_block(entry.after)
