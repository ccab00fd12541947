"""Pause and resume queues, for the whole fleet at once."""

from django.db import transaction

from apps.jobs import registry, selectors
from apps.jobs.conf import config
from apps.jobs.errors import QueueNotFound
from apps.jobs.services.rings import ring_after_commit
from apps.jobs.transitions import pause as pausing
from apps.jobs.transitions.statement import on_django


def pause(queue: str, *, by: str = "", reason: str = "") -> None:
    """Stop claiming from a queue; what runs goes on."""
    _known_queue(queue)
    pausing.pause(on_django(), name=queue, by=by, reason=reason)


def resume(queue: str) -> bool:
    """Claim from a queue again, at once; False when it was not paused."""
    _known_queue(queue)
    with transaction.atomic():
        resumed = pausing.resume(on_django(), name=queue).get()
        ring_after_commit({queue: config().tickets})
    return resumed


def _known_queue(name: str) -> None:
    known = registry.queues() | set(selectors.queue_names())
    if name not in known:
        raise QueueNotFound(name, known=known)
