"""What a job's status means, and who moves a row on. Pure: no query.

::

    scheduled ──due──▶ queued ──claim──▶ running ──settle──▶ completed
        ▲                ▲ ▲               │ │ │
        │                │ └──give back────┘ │ │
        │                │ └──rescue─────────┘ │
        └────snooze──────┼─────────────────────┤
                         │      fails          │
     retrying ──due──────┘◀────────────────────┤
                                               ├──▶ dead_letter ──discard──▶ cancelled
                                               └──▶ cancelled

A finished job that a person retries goes back to queued. Who waits with `cancel_requested_at` set ends as
cancelled in place of every arrow that leads to queued, scheduled or retrying.
"""

from django.db.models import TextChoices


class Status(TextChoices):
    """Where a job stands. Each member says who moves a row out of it, and what happens if that never comes."""

    SCHEDULED = "scheduled"
    """`run_at` lies ahead, also after a snooze. The dispatcher moves it; without one, any worker does."""

    QUEUED = "queued"
    """Ready. A worker's fetch claims it; if nobody comes, the queue is rung again and idle workers look themselves."""

    RUNNING = "running"
    """An attempt holds it. Its worker settles it under the fence; when the worker's lease ends it is rescued."""

    RETRYING = "retrying"
    """An attempt failed and the next one waits for its back-off. Moved as scheduled."""

    COMPLETED = "completed"
    """Done. Retention removes it; a person may retry it."""

    CANCELLED = "cancelled"
    """Ended on request, or put away. Retention removes it; a person may retry it."""

    DEAD_LETTER = "dead_letter"
    """Out of attempts or rescues, or refused. Kept until a person or a policy retries or discards it."""


class AttemptOutcome(TextChoices):
    """How one attempt ended; the last seven cost nothing of `max_attempts`."""

    COMPLETED = "completed"
    FAILED = "failed"
    """The handler raised, returned Retry, or returned something that cannot be stored."""
    TIMED_OUT = "timed_out"
    DISCARDED = "discarded"
    """The handler returned Discard, or no attempt could ever succeed."""
    CANCELLED = "cancelled"
    WORKER_LOST = "worker_lost"
    """The process that ran it died or fell silent for a lease; counts in `rescues`."""
    SNOOZED = "snoozed"
    STOPPED = "stopped"
    """Begun, and ended by the stop of its worker."""
    RELEASED = "released"
    """Claimed and never begun."""
    LOCK_BUSY = "lock_busy"
    """Claimed and never begun, because somebody else had its lock or nobody could tell."""
    LOCK_LOST = "lock_lost"
    """Begun, and ended because its lock was lost: taken over, forced, or not renewed in time."""


WAITING = (Status.SCHEDULED, Status.QUEUED, Status.RETRYING)
UNFINISHED = (*WAITING, Status.RUNNING)
FINISHED = (Status.COMPLETED, Status.CANCELLED, Status.DEAD_LETTER)
DUE = (Status.SCHEDULED, Status.RETRYING)
FAILURES = (AttemptOutcome.FAILED, AttemptOutcome.TIMED_OUT, AttemptOutcome.DISCARDED, AttemptOutcome.WORKER_LOST)
"""Endings of attempts that something went wrong in."""

TRANSITIONS: dict[Status, tuple[Status, ...]] = {
    Status.SCHEDULED: (Status.QUEUED, Status.CANCELLED),
    Status.QUEUED: (Status.RUNNING, Status.CANCELLED),
    Status.RUNNING: (
        Status.COMPLETED, Status.RETRYING, Status.SCHEDULED, Status.QUEUED, Status.CANCELLED, Status.DEAD_LETTER,
    ),
    Status.RETRYING: (Status.QUEUED, Status.CANCELLED),
    Status.COMPLETED: (Status.QUEUED,),
    Status.CANCELLED: (Status.QUEUED,),
    Status.DEAD_LETTER: (Status.QUEUED, Status.CANCELLED),
}

ACTIONS: dict[str, tuple[Status, ...]] = {
    "retry": FINISHED,
    "cancel": UNFINISHED,
    "run": WAITING,
    "discard": (Status.DEAD_LETTER,),
}
"""From which statuses a person may do what."""
