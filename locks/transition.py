"""What each change does to a row, as one pure function: the meaning of `changes.py`, executable.

The memory store runs it, the model of the tests explores it, and the contract suite compares the other stores with it.
"""

from dataclasses import replace

from locks.changes import (
    Acquire,
    AcquireExact,
    Bury,
    Change,
    Create,
    ForceRelease,
    Grant,
    Reap,
    Release,
    Renew,
    Retire,
)
from locks.row import Row, State


def holds(change: Change, row: Row | None) -> bool:   # noqa: PLR0911  one line a change
    """Say whether the change's condition is true of this row."""
    if isinstance(change, Create):
        return row is None
    if row is None:
        return False
    match change:
        case Acquire():
            return row.state == State.FREE and row.fence < change.fence
        case AcquireExact() | Reap() | Retire() | Bury():
            return row.version == change.seen
        case Renew():
            return (row.state, row.fence, row.nonce, row.hb) == (State.HELD, change.fence, change.nonce, change.hb)
        case Release():
            return (row.state, row.fence, row.nonce) == (State.HELD, change.fence, change.nonce)
        case ForceRelease():
            return (row.state, row.fence) == (State.HELD, change.fence)
    raise TypeError(f"{type(change).__name__} is no change of a row")


def effect(change: Change, row: Row | None) -> Row | None:   # noqa: PLR0911  one line a change
    """Return the row after the change, whose condition was true."""
    match change:
        case Grant():
            return Row(
                state=State.HELD, fence=change.fence, hb=0, nonce=change.nonce, owner=change.owner,
                lease_ms=change.lease_ms, since_ms=change.since_ms,
            )
        case Create():
            return Row(state=State.NEW, fence=0, hb=0, nonce=change.nonce, owner=change.owner, lease_ms=0, since_ms=0)
        case Bury():
            return None
    if row is None:
        raise TypeError(f"{type(change).__name__} needs a row")
    match change:
        case Renew():
            return replace(row, hb=row.hb + 1)
        case Release() | Reap():
            return replace(row, state=State.FREE)
        case ForceRelease():
            return replace(
                row, state=State.FREE, fence=row.fence + 1, hb=0, nonce=change.nonce, owner=change.owner,
            )
        case Retire():
            return replace(row, state=State.RETIRED)
    raise TypeError(f"{type(change).__name__} is no change of a row")
