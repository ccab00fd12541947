"""What a refused acquire does next, read off the row that refused it: a pure function, explored whole by the model."""

import enum
import uuid
from collections.abc import Container

from locks.row import Row, State


class Step(enum.Enum):
    """What a row tells whoever wants the lock."""

    ADOPT = "adopt"
    """It is ours: an earlier copy had won, and its answer was lost."""
    CREATE = "create"
    """There is no row: insert one in state NEW."""
    FLOOR = "floor"
    """It is NEW: read the floor now, after the row was seen, then acquire from exactly this row."""
    BURY = "bury"
    """It is being purged: finish that, then ask again."""
    EXACT = "exact"
    """It is free, and our token was too low: acquire from exactly this version."""
    WAIT = "wait"
    """Somebody has it: acquire from exactly this version when it was seen for a whole lease."""


def judge(row: Row | None, *, nonce: uuid.UUID, sent: Container[int]) -> Step:
    """Choose the next step of the call `nonce`, which has asked for the tokens `sent` so far."""
    if row is None:
        return Step.CREATE
    match row.state:
        case State.NEW:
            return Step.FLOOR
        case State.RETIRED:
            return Step.BURY
        case State.FREE:
            return Step.EXACT
        case State.HELD:
            return Step.ADOPT if row.nonce == nonce and row.fence in sent else Step.WAIT
