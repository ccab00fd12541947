"""Every change that a lock's row can undergo: its condition and its effect. No other write exists.

A change is a value. Repeating it means handing the store the same value again, so that a second copy finds the version
gone that it needs, and does nothing. "Exact" conditions compare the whole version (state, fence, hb, nonce).
"""

import uuid
from dataclasses import dataclass

from locks.row import Version


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """The root of the changes; each names the lock it is about."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant(Change):
    """What both ways of acquiring write: state HELD, hb 0, and these."""

    fence: int
    nonce: uuid.UUID
    owner: str
    lease_ms: int
    since_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Acquire(Grant):
    """IF state = FREE AND row.fence < fence. Needs no reading before; the one change whose condition can come true again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AcquireExact(Grant):
    """IF version = seen, which is FREE, NEW, or HELD (a takeover). The caller has seen to it that fence > seen.fence."""

    seen: Version


@dataclass(frozen=True, slots=True, kw_only=True)
class Create(Change):
    """IF there is no row: insert state NEW, fence 0, hb 0, lease_ms 0, since_ms 0. The name is listed before it is granted."""

    nonce: uuid.UUID
    owner: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Renew(Change):
    """IF state = HELD AND fence, nonce and hb are these: hb + 1."""

    fence: int
    nonce: uuid.UUID
    hb: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Release(Change):
    """IF state = HELD AND fence and nonce are these (any hb: a renewal may be under way): state FREE."""

    fence: int
    nonce: uuid.UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Reap(Change):
    """IF version = seen, which is HELD: state FREE. The observer saw it unchanged for a whole lease."""

    seen: Version


@dataclass(frozen=True, slots=True, kw_only=True)
class ForceRelease(Change):
    """IF state = HELD AND fence is this one: state FREE, fence + 1, hb 0, nonce and owner of the operator's call.

    The token rises at once, so that whoever compares tokens with the lock refuses the ousted holder.
    """

    fence: int
    nonce: uuid.UUID
    owner: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Retire(Change):
    """IF version = seen, which is FREE or NEW: state RETIRED."""

    seen: Version


@dataclass(frozen=True, slots=True, kw_only=True)
class RaiseFloor(Change):
    """IF the namespace has no floor or a lower one: floor = fence. Refused (row None) means: it is that high already.

    It concerns no lock; `name` tells for which one it is done. A store may need several statements for it.
    """

    fence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Bury(Change):
    """IF version = seen, which is RETIRED: delete the row. Only after the floor is known to be at least seen.fence."""

    seen: Version
