"""What a lock's caller has to reckon with. Each error carries its facts and writes its own sentence.

There is no boolean answer anywhere: "somebody else has it" and "nobody answered" call for different things. "Nobody knows" is a
kind of the second: whoever acquires does the same about both, whoever changed something by force has to look again.
"""

import uuid
from datetime import UTC, datetime
from typing import ClassVar


class LockError(Exception):
    """The root of the errors of this package."""

    def __init__(self, name: str, message: str) -> None:
        self.name = name
        super().__init__(message)


class NotGranted(LockError):
    """An acquire ended without a lease. `nonce` names the call, as stores and histories know it."""

    def __init__(self, name: str, message: str, *, nonce: uuid.UUID | None = None) -> None:
        self.nonce = nonce
        super().__init__(name, message)


class LockHeld(NotGranted):
    """Somebody else has it: an ordinary answer. Come back in `free_in_seconds`, when its holder must have renewed."""

    def __init__(
        self, name: str, *, owner: str, token: int, since: datetime, free_in_seconds: float,
        nonce: uuid.UUID | None = None, holder: uuid.UUID | None = None,
    ) -> None:
        self.owner, self.token, self.since, self.free_in_seconds, self.holder = owner, token, since, free_in_seconds, holder
        told = f"{owner} has it since {since.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z (token {token})"
        super().__init__(
            name, f"lock {name!r} is held: {told}; without a renewal it is free in {free_in_seconds:.1f} s", nonce=nonce,
        )


class LockStoreUnavailable(NotGranted):
    """The store gave no definite answer within the caller's time: not held, come back later.

    Certainly not held, and nothing left behind, unless it is a `LockUnknown`.
    """

    told: ClassVar[str] = "the lock store is unavailable for {name!r}: {why}"

    def __init__(self, name: str, why: str, *, nonce: uuid.UUID | None = None) -> None:
        self.why = why
        super().__init__(name, self.told.format(name=name, why=why), nonce=nonce)


class LockUnknown(LockStoreUnavailable):
    """What was sent may have taken effect, or may yet: neither held nor free, as when a node dies in the midst of an answer.

    Treat it as not held. The canceller goes on asking and gives back what turns out to have been won. Until then others may
    find the lock taken, at worst for one lease.
    """

    told: ClassVar[str] = "nobody knows yet who has lock {name!r}: {why}"


class LockLost(LockError):
    """The lease is over, or will be before the wanted time: stop, and write nothing more under its token."""

    def __init__(self, name: str, *, token: int, why: str) -> None:
        self.token, self.why = token, why
        super().__init__(name, f"the lease of lock {name!r} with token {token} is lost: {why}")


class NoAnswer(Exception):
    """One reading of a store found nobody who could answer. A reading changes nothing: it may be repeated at will.

    Only stores raise it, and only the library sees it.
    """

    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__(why)
