"""Delete the rows of locks without letting a token come back."""

import enum
from collections.abc import Mapping

from locks import transition
from locks.answers import Applied, Refused
from locks.asking import Asker, Question
from locks.changes import Bury, RaiseFloor, Retire
from locks.row import Row, State


class Purged(enum.Enum):
    """How a purge turned out."""

    PURGED = "purged"
    ABSENT = "absent"
    """There was no row."""
    IN_USE = "in use"
    """It is held, or was granted while it was looked at."""
    UNKNOWN = "unknown"
    """Not all was answered. Whoever meets the row finishes what was begun, and nothing is lost by that."""


def purge(asker: Asker, name: str, *, until: float) -> Purged:
    """Retire the row if it is free, then raise the floor to its token, then delete it."""
    row = asker.read(name, until=until)
    if row is None:
        return Purged.ABSENT
    if row.state == State.HELD:
        return Purged.IN_USE
    if row.state != State.RETIRED:
        answer = asker.ask(Question(Retire(name=name, seen=row.version)), until=until)
        if isinstance(answer, Refused):
            retired = answer.row
        elif isinstance(answer, Applied):
            retired = asker.read(name, until=until)
        else:
            return Purged.UNKNOWN
        if retired is None:
            return Purged.PURGED    # somebody met it and finished
        if retired.state != State.RETIRED:
            return Purged.IN_USE
        row = retired
    return Purged.PURGED if finish(asker, name, row, until=until) else Purged.UNKNOWN


def finish(asker: Asker, name: str, row: Row, *, until: float) -> bool:
    """Raise the floor, then delete; whoever meets a retired row does this, as its purger may be dead.

    Deleting waits for a definite answer about the floor: without it the token could come back. Say whether it is done.
    """
    raised = asker.ask(Question(RaiseFloor(name=name, fence=row.fence)), until=until)
    if not isinstance(raised, Applied | Refused):
        return False
    return isinstance(asker.ask(Question(Bury(name=name, seen=row.version)), until=until), Applied | Refused)


def purge_seen(asker: Asker, seen: Mapping[str, Row], *, until: float) -> dict[str, Purged]:
    """Purge many that were just seen, each if it is still as it was; the floor is raised once for all.

    What is not done in time is unknown: whoever meets such a row finishes it.
    """
    purged, retired = {}, {}
    for name, row in seen.items():
        outcome = _retired(asker, name, row, until=until)
        if isinstance(outcome, Row):
            retired[name] = outcome
        purged[name] = outcome if isinstance(outcome, Purged) else Purged.UNKNOWN
    if not retired:
        return purged
    raised = asker.ask(Question(RaiseFloor(name="", fence=max(row.fence for row in retired.values()))), until=until)
    if not isinstance(raised, Applied | Refused):
        return purged
    for name, row in retired.items():    # the floor is above each of these for certain
        if isinstance(asker.ask(Question(Bury(name=name, seen=row.version)), until=until), Applied | Refused):
            purged[name] = Purged.PURGED
    return purged


def _retired(asker: Asker, name: str, row: Row, *, until: float) -> Row | Purged:
    """Return the row in state RETIRED, or how the purge has ended already."""
    if row.state == State.HELD:
        return Purged.IN_USE
    if row.state == State.RETIRED:
        return row
    change = Retire(name=name, seen=row.version)
    answer = asker.ask(Question(change), until=until)
    if isinstance(answer, Applied):
        return transition.effect(change, row) or Purged.ABSENT
    if not isinstance(answer, Refused):
        return Purged.UNKNOWN
    if answer.row is None:
        return Purged.ABSENT
    return answer.row if answer.row.state == State.RETIRED else Purged.IN_USE
