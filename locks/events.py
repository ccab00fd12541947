"""The audit record of a lock: what was done to it out of the ordinary, by whom and why."""

import uuid
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One entry. A forced release writes one before it acts and one that tells how it ended."""

    id: uuid.UUID
    """A version 1 UUID of `at`, so that stores can keep events in order by it."""
    at: datetime
    """By the wall clock of whoever wrote it; for people."""
    name: str
    kind: str
    """`force.asked`, `force.freed`, `force.over`, `force.unknown`, `taken_over`, `reaped`, `purged`, `floor.raised`."""
    token: int
    actor: str
    reason: str
