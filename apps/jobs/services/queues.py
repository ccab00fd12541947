"""Pause and resume queues, for the whole fleet at once."""

from django.db import transaction

from apps.jobs import registry, selectors
from apps.jobs.conf import config
from apps.jobs.errors import QueueNotFound
from apps.jobs.models import Queue
from apps.jobs.services.rings import ring_after_commit
from apps.jobs.transitions import pause as pausing
from apps.jobs.transitions.statement import on_django
from core import audit


def pause(queue: str, *, by: str = "", reason: str = "") -> None:
    """Stop claiming from a queue; what runs goes on."""
    _known_queue(queue)
    with transaction.atomic():
        before = _state(queue)
        pausing.pause(on_django(), name=queue, by=by, reason=reason)
        audit.record(
            action="queue.pause", target=f"queue:{queue}", before=before, after={"paused": True, "reason": reason},
        )


def resume(queue: str) -> bool:
    """Claim from a queue again, at once; False when it was not paused."""
    _known_queue(queue)
    with transaction.atomic():
        before = _state(queue)
        resumed = pausing.resume(on_django(), name=queue).get()
        if resumed:
            audit.record(action="queue.resume", target=f"queue:{queue}", before=before, after={"paused": False})
        ring_after_commit({queue: config().tickets})
    return resumed


def _state(name: str) -> dict[str, object]:
    """Return what the audit tells of a queue, which nobody changes before this transaction ends."""
    row = Queue.objects.select_for_update(no_key=True).filter(name=name, paused_at__isnull=False).first()
    return {"paused": True, "reason": row.paused_reason} if row else {"paused": False}


def _known_queue(name: str) -> None:
    known = registry.queues() | set(selectors.queue_names())
    if name not in known:
        raise QueueNotFound(name, known=known)
