"""What Django looks for here; each model stands in the room that it belongs to."""

from core.api.models import ApiToken, IdempotencyRecord
from core.audit.models import AuditEntry, AuditLink
from core.fencing.models import ResourceFence
from core.locking.models import Lock

__all__ = ["ApiToken", "AuditEntry", "AuditLink", "IdempotencyRecord", "Lock", "ResourceFence"]
