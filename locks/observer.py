"""Who is told what happens to locks: metrics, logs, histories. The library counts nothing itself."""

import uuid
from dataclasses import dataclass
from typing import Protocol

from locks.answers import Answer
from locks.changes import Change


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """The root of what an observer is told; `name` is the lock's."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered(Happening):
    """One attempt of one change was answered. `number` above 0: it was a repetition."""

    change: Change
    answer: Answer
    number: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted(Happening):
    """A lease was handed to its caller. `victim` is the nonce of a holder that was taken over."""

    token: int
    nonce: uuid.UUID
    deadline: float
    waited_seconds: float
    questions: int
    """How many changes it took; one, when nobody is in the way."""
    adopted: bool
    """An earlier copy of our own had won, and its answer was lost."""
    victim: uuid.UUID | None
    victim_renewals: int | None = None
    """How often the holder that was taken over had renewed; never: perhaps nobody ever knew that it held the lock."""
    observed_seconds: float = 0.0
    """How long this process had watched that holder do nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotHeld(Happening):
    """An acquire ended without a lease; `why` is the error's class."""

    nonce: uuid.UUID
    why: str
    waited_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GuessMissed(Happening):
    """A free lock refused our token as too low: this machine's wall clock is behind others'."""

    token: int
    fence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewed(Happening):
    token: int
    deadline: float
    remaining_seconds: float
    """What was left of the lease when the answer came."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endangered(Happening):
    """Two thirds of a lease have passed without a renewal that succeeded."""

    token: int
    remaining_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost(Happening):
    """A lease ended before its holder released it; `why` is `expired`, `taken` or `closed`."""

    token: int
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Released(Happening):
    """A holder gave back; `how` is a value of `locks.lease.Release`."""

    token: int
    how: str
    remaining_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Reaped(Happening):
    """A reaper freed what nobody had renewed for a whole lease."""

    token: int
    owner: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancelled(Happening):
    """What a caller's deadline had cut off is definite now; `how` is `never`, `undone`, `over` or `given_up`."""

    change: Change
    how: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Forced(Happening):
    """An operator ended a grant; `how` is a value of `locks.forcing.Forced` or `unknown`."""

    token: int
    by: str
    how: str


class Observer(Protocol):
    """Be told. It is called on whatever thread it happens on, must be quick, and must not raise."""

    def tell(self, happening: Happening) -> None: ...


class Silence:
    """An observer that nobody listens to."""

    def tell(self, happening: Happening) -> None:
        """Say nothing."""
