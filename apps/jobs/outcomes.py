"""What a handler may return besides a value: an outcome is a value, not an exception.

`error` names what went wrong where the job's error is shown; the reason is its sentence.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeAlias

JSON: TypeAlias = dict[str, Any] | list[Any] | str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Retry:
    """Ask for another attempt; it counts as a failure. Without `after`, the type's policy says when."""

    after: timedelta | None = None
    reason: str = "the handler asked for another attempt"
    error: str = "Retry"


@dataclass(frozen=True, slots=True)
class Snooze:
    """Put the job off without charging it: for something that is not there yet."""

    delay: timedelta | None = None
    until: datetime | None = None

    def __post_init__(self) -> None:
        if (self.delay is None) == (self.until is None):
            raise ValueError("Snooze takes either a delay or a moment (until=), not both and not none")
        if self.until is not None and self.until.tzinfo is None:
            raise ValueError("Snooze(until=…) needs a time with its zone")


@dataclass(frozen=True, slots=True)
class Cancel:
    """End the job as cancelled: it has become pointless."""

    reason: str


@dataclass(frozen=True, slots=True)
class Discard:
    """End the job as a dead letter now: no further attempt can succeed."""

    reason: str
    error: str = "Discard"


Outcome: TypeAlias = Retry | Snooze | Cancel | Discard
