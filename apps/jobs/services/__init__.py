"""What everybody else calls: to enqueue, and to do with jobs and queues what a person may do.

Each function joins the caller's transaction. Rings go out after the commit; a transaction that is rolled back leaves
neither a row nor a message, and a broker that is away costs no error: the row is the truth.
"""

from apps.jobs.services.actions import cancel, discard, retry, run
from apps.jobs.services.enqueue import Enqueued, aenqueue, enqueue, enqueue_many, place, place_many
from apps.jobs.services.options import Options
from apps.jobs.services.queues import pause, resume
from apps.jobs.services.requests import request, request_many

__all__ = [
    "Enqueued",
    "Options",
    "aenqueue",
    "cancel",
    "discard",
    "enqueue",
    "enqueue_many",
    "pause",
    "place",
    "place_many",
    "request",
    "request_many",
    "resume",
    "retry",
    "run",
]
