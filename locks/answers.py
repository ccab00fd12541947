"""What a store may answer to one conditional change. There are four answers, and only two of them are the end."""

from dataclasses import dataclass

from locks.row import Row


@dataclass(frozen=True, slots=True)
class Applied:
    """The condition was true, and exactly this change has taken effect, once."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The condition was false at one instant between call and answer. `row` is the whole row as it was then; None: no row.

    Final for this copy of the change. Other copies that were sent before may still be on their way.
    """

    row: Row | None


@dataclass(frozen=True, slots=True)
class NotDone:
    """The copy certainly has not taken effect and never will: it was not sent, or was turned away unread."""

    why: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """It may have taken effect, may do so at any later time, or never. Ask again, word by word."""

    why: str


Answer = Applied | Refused | NotDone | Unknown
