"""What Django looks for here; each model stands in the room that it belongs to."""

from core.api.models import ApiToken, IdempotencyRecord

__all__ = ["ApiToken", "IdempotencyRecord"]
