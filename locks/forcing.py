"""End somebody else's grant, on record."""

import enum
import logging
import uuid

from locks.answers import Applied, NotDone, Refused, Unknown
from locks.asking import Question
from locks.changes import ForceRelease
from locks.errors import LockStoreUnavailable, LockUnknown, NoAnswer
from locks.means import Means
from locks.observer import Forced as ForcedHappening

logger = logging.getLogger("locks")


class Forced(enum.Enum):
    """How a forced release turned out."""

    FREED = "freed"
    """The grant is over by this call, and the token has risen above it."""
    OVER = "over"
    """The grant had ended before: by its holder, its lease, or another operator. Nobody else was harmed."""


def force_release(means: Means, name: str, token: int, *, reason: str, by: str, until: float) -> Forced:
    """End the grant of this token, as seen by whoever decided it, and of no later one.

    The record comes first: what cannot be recorded is not done.
    """
    if not reason.strip() or not by.strip():
        raise ValueError("a forced release needs a reason and somebody who answers for it (reason=…, by=…)")
    try:
        means.journal.write(name, "force.asked", token=token, actor=by, reason=reason, until=until)
    except NoAnswer as exc:
        raise LockStoreUnavailable(name, f"the audit record could not be written: {exc.why}") from exc
    nonce = uuid.uuid4()
    answer = means.asker.ask(Question(ForceRelease(name=name, fence=token, nonce=nonce, owner=by)), until=until)
    match answer:
        case Applied():
            how = Forced.FREED
        case Refused(row):    # by our own earlier copy, or because that grant is over
            how = Forced.FREED if row is not None and row.nonce == nonce else Forced.OVER
        case Unknown(why):
            _conclude(means, name, "unknown", token=token, by=by, reason=reason)
            raise LockUnknown(name, why, nonce=nonce)
        case NotDone(why):
            _conclude(means, name, "not_done", token=token, by=by, reason=reason)
            raise LockStoreUnavailable(name, why, nonce=nonce)
    _conclude(means, name, how.value, token=token, by=by, reason=reason)
    return how


def _conclude(means: Means, name: str, how: str, *, token: int, by: str, reason: str) -> None:
    means.observer.tell(ForcedHappening(name=name, token=token, by=by, how=how))
    until = means.clock.now() + 2 * means.asker.store.attempt_seconds
    try:
        means.journal.write(name, f"force.{how}", token=token, actor=by, reason=reason, until=until)
    except NoAnswer as exc:
        # the entry from before it stands; what became of it is told to the caller and to the log
        logger.warning("locks.journal.lost name=%s kind=force.%s token=%d why=%s", name, how, token, exc.why)
