"""What the fleet does every so often, whoever does it: of all dispatchers that ask in one period, one gets the turn."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import structlog
from django.db import OperationalError, connection, transaction
from psycopg import errors

from apps.jobs import services as jobs
from apps.jobs.transitions import presence
from apps.jobs.transitions.statement import on_django
from core.audit import chain

TURN_SECONDS, LOCK_SECONDS = 0.2, 5.0   # for the turn, which somebody has, and for whatever a chore locks
IDLE_SECONDS = 30.0                     # amid a chore, after which the server ends it
_PATIENCE = "SELECT set_config('lock_timeout', %s, true), set_config('idle_in_transaction_session_timeout', %s, true)"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chore:
    """A duty with its period. The turn and what `act` writes are one transaction: both happen or neither."""

    name: str
    every: timedelta
    act: Callable[[], object]


def prune() -> None:
    """Enqueue retention, unless the last one still waits or runs."""
    jobs.enqueue("system.prune", {}, unique_key="system.prune", on_conflict="return_existing")


CHORES = (
    Chore(name="system.prune", every=timedelta(hours=1), act=prune),
    Chore(name="audit.seal", every=timedelta(minutes=1), act=chain.seal),   # what is more than that, system.prune links
)


def run(*, by: str, chores: tuple[Chore, ...] = CHORES) -> list[str]:
    """Do the chores whose turn it is, and return their names; one that fails is tried again at the next look."""
    done = []
    for chore in chores:
        try:
            with transaction.atomic():
                _wait_at_most(TURN_SECONDS)
                ours = _is_our_turn(chore, by=by)
                if ours:
                    _wait_at_most(LOCK_SECONDS)
                    chore.act()
            done += [chore.name] if ours else []
        except OperationalError as exc:
            if not isinstance(exc.__cause__, errors.LockNotAvailable):
                log.warning("chore.failed", chore=chore.name, error=f"{type(exc).__name__}: {exc}")
        except Exception as exc:  # noqa: BLE001  whatever ails a chore, the dispatcher has other duties
            log.warning("chore.failed", chore=chore.name, error=f"{type(exc).__name__}: {exc}")
    if not connection.in_atomic_block:   # a minute's idleness is not worth one of the database's connections
        connection.close()
    return done


def _wait_at_most(seconds: float) -> None:
    """Wait no longer for a lock in this transaction: whoever has the turn may be frozen in it, and is ended soon."""
    with connection.cursor() as cursor:
        cursor.execute(_PATIENCE, [f"{seconds * 1000:.0f}ms", f"{IDLE_SECONDS * 1000:.0f}ms"])


def _is_our_turn(chore: Chore, *, by: str) -> bool:
    execute = on_django()
    presence.begin(execute, name=chore.name, by=by)   # a new installation has nothing to do yet: the first period starts
    return presence.take_turn(execute, name=chore.name, by=by, every_seconds=chore.every.total_seconds()).get()
