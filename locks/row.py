"""What is stored of a lock, and what each state means."""

import enum
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

LAST_MOMENT = datetime.max.replace(microsecond=0, tzinfo=UTC).timestamp()


class State(enum.IntEnum):
    """Where a row stands. The numbers are stored."""

    FREE = 0
    """Nobody has it. An acquire moves it on, or a purge."""
    HELD = 1
    """Granted. Its holder moves it on by releasing, an observer by taking over, an operator by force."""
    RETIRED = 2
    """Being purged, and granted to nobody any more. Whoever meets it raises the floor and deletes the row."""
    NEW = 3
    """Just created; its token has not been compared with the floor yet. Whoever meets it reads the floor, then acquires
    from exactly this row: what was purged before it was created had raised the floor by then."""


class Version(NamedTuple):
    """The exact version of a row: no two contents of one name ever have the same, also across purge and re-creation."""

    state: State
    fence: int
    hb: int
    nonce: uuid.UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A lock as stored. The first four decide; the others only tell people, and observers how long to wait."""

    state: State
    fence: int
    """The token of the latest grant, or more. It never falls, and is never deleted before the floor has reached it."""
    hb: int
    """How often this grant was renewed."""
    nonce: uuid.UUID
    """Which call made the latest grant (or creation, or forced release): how a caller knows its own late success."""
    owner: str
    """Who asked for it, for people; never empty."""
    lease_ms: int
    """How long an observer waits without seeing a renewal before it takes over."""
    since_ms: int
    """When the grant was asked for, by the holder's wall clock (milliseconds since 1970). For people only."""

    @property
    def since(self) -> datetime:
        """Return `since_ms` as a moment; a nonsensical one as the last that there is."""
        return datetime.fromtimestamp(max(0, min(self.since_ms / 1000, LAST_MOMENT)), UTC)

    @property
    def version(self) -> Version:
        return Version(self.state, self.fence, self.hb, self.nonce)
