"""End somebody else's grant, and raise the floor: what operators do to locks, on record.

Two records are kept. The lock's own history is written before and after, in the store of locks; what cannot be written
there is not done. The platform's audit says the same in the database, after the outcome is known.
"""

from datetime import timedelta

from django.db import transaction

from core import audit, read_only
from core.fencing import grants
from core.locking.errors import GrantOver, LockNotFound, LockOutcomeUnknown, translated
from core.locking.looking import Sight, read, sight
from core.locking.shared import shared
from locks import Forced, State

SECONDS = timedelta(seconds=10)
FLOOR_SECONDS = timedelta(seconds=10)


def foresee(name: str, token: int | None = None) -> Sight:
    """Return the lock if its grant with this token, or without one its present grant, could be ended now; else raise why not."""
    row = read(name)
    if row is None:
        raise LockNotFound(name)
    if row.state != State.HELD or (token is not None and row.fence != token):
        raise GrantOver(name, row.fence if token is None else token, row)
    return sight(name, row)


def release(name: str, *, token: int, reason: str) -> Sight:
    """End the grant with this token, which is the one that somebody saw and decided about: a later holder is never hit.

    Return the lock as it is then. Its token has risen, so that the ousted holder is refused by whoever compares; rows of this
    database refuse it from now on, other resources as soon as its successor has written there. Raise
    `GrantOver` when that grant had ended before, `LockOutcomeUnknown` when nobody can tell.
    """
    read_only.refuse()
    before = foresee(name, token)
    try:
        with translated():
            how = shared().force_release(name, token, reason=reason, by=_who(), timeout=SECONDS)
    except LockOutcomeUnknown:
        _end(before, {"outcome": "unknown", "reason": reason})
        raise
    if how is Forced.OVER:
        raise GrantOver(name, token, read(name))
    _end(before, {"outcome": how.value, "fencing_token": token + 1, "reason": reason})
    now = read(name)
    return sight(name, now) if now is not None else before


def floor() -> int:
    """Return the token above which all locks are granted whose row is made anew."""
    with translated():
        return shared().floor(timeout=FLOOR_SECONDS)


def raise_floor(wanted: int, *, reason: str) -> int:
    """Have rows that are made from now on start above `wanted`; return the floor as it is then, which may be higher."""
    read_only.refuse()
    before = floor()
    with translated():
        shared().raise_floor(wanted, reason=reason, by=_who(), timeout=FLOOR_SECONDS)
    after = floor()
    audit.record(action="lock.floor", target="locks", before={"floor": before}, after={"floor": after, "reason": reason})
    return after


@transaction.atomic
def _end(before: Sight, after: dict[str, object]) -> None:
    """Have the rows of this database refuse the grant from now on, and say who ended it."""
    grants.revoke(before.token)
    audit.record(
        action="lock.release", target=f"lock:{before.name}",
        before={"holder": before.holder, "fencing_token": before.token}, after=after,
    )


def _who() -> str:
    who = audit.current()
    return f"{who.key} ({who.name})" if who.name and who.name not in who.key else who.key
