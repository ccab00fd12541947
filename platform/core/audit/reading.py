"""Look at what was done."""

from datetime import datetime

from django.db.models import QuerySet

from core.audit.models import AuditEntry


def matching(
    *,
    actor: str | None = None,
    action: str | None = None,
    target: str | None = None,
    request_id: str | None = None,
    created_after: datetime | None = None,
    created_before: datetime | None = None,
) -> QuerySet[AuditEntry]:
    """Return entries, newest first; what is None is not asked for. Each filter has an index."""
    wanted = {
        "actor": actor, "action": action, "target": target, "request_id": request_id, "at__gte": created_after,
        "at__lt": created_before,
    }   # fmt: skip
    return AuditEntry.objects.filter(**{name: value for name, value in wanted.items() if value is not None}).order_by("-id")
