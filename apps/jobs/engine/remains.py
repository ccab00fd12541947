"""What killed workers of this host have left: ends that were told and not settled, and rows that say they live.

A worker that starts, or stands beside them, settles the ends, each under its fence: what was taken away meanwhile is
refused, as it would be from the worker itself. What they had claimed and not begun it gives back, and charges nobody for it.
Then it ends their rows, for nothing of those workers runs any more, and what ran is rescued at the dispatcher's next look
instead of when the lease would have ended.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from uuid import UUID

import psycopg
import structlog

from apps.jobs.conf import Config
from apps.jobs.engine import shelf
from apps.jobs.engine.ledger import PLANNER
from apps.jobs.engine.poolside import unpacked
from apps.jobs.engine.refusal import about_a_value
from apps.jobs.engine.shelf import Shelf
from apps.jobs.lifecycle import AttemptOutcome
from apps.jobs.transitions import presence, settle
from apps.jobs.transitions.connection import TRANSACTION_SECONDS, connect
from apps.jobs.transitions.settle import Ending

MOST = 256             # endings of one statement
HELD_SECONDS = 0.2     # after which a row that somebody held is tried again
PATIENCE = 10          # times; then at the next look
REASON = "its processes were killed"

log = structlog.get_logger(__name__)
Connection = psycopg.Connection[Any]


def look_after(config: Config, own: Shelf | None, until: Callable[[], bool]) -> None:
    """Look at the start and as often as the lease is renewed, until told to stop: workers beside this one may be killed too."""
    while not until():
        if own is not None:
            own.touch()
        look(config)
        time.sleep(config.heartbeat_seconds)


def look(config: Config) -> None:
    """Settle what killed workers have told, and end their rows. What cannot be settled now, the next look finds."""
    for found in shelf.abandoned(config.shelf_dir):
        try:
            _settle(found, config)
        except Exception as exc:  # noqa: BLE001  one that cannot be read, or not now, keeps nobody from the others
            log.warning("remains.later", shelf=found.path.name, error=f"{type(exc).__name__}: {exc}".splitlines()[0])
            found.take_down_old()
        else:
            found.take_down()
        finally:
            found.leave()


class Held(RuntimeError):
    """Somebody holds the row of a job that has ended."""


def _settle(found: Shelf, config: Config) -> None:
    worker = found.signed()
    if worker is None:   # it had claimed nothing
        return
    told = [unpacked(packed) for packed in found.told()]
    with connect("latchwork remains", transaction_timeout_seconds=TRANSACTION_SECONDS, planner=PLANNER) as connection:
        settled = sum(
            _settle_some(connection, settle.still_open(connection.execute, some), config, worker=worker) for some in _batches(told)
        )
        released = sum(
            _settle_some(connection, some, config, worker=worker) for some in _batches(_unbegun(connection, found, worker))
        )
        presence.end(connection.execute, worker=worker, reason=REASON)
    log.warning("worker.found_killed", worker=str(worker), settled=settled, released=released)


def _unbegun(connection: Connection, found: Shelf, worker: UUID) -> list[Ending]:
    begun = found.begun()
    held = presence.roll(connection.execute, worker=worker).get()
    return [
        Ending(id=each.id, fence=each.fence, outcome=AttemptOutcome.RELEASED)
        for each in held if each.fence not in begun
    ]


def _batches(endings: list[Ending]) -> Iterator[list[Ending]]:
    return (endings[first:first + MOST] for first in range(0, len(endings), MOST))


def _settle_some(connection: Connection, endings: list[Ending], config: Config, *, worker: UUID) -> int:
    """Settle a batch, and return how many of it; what the server refuses for its value is left to the rescue, and alone."""
    try:
        _settle_held(connection, endings, config, worker=worker)
    except (psycopg.Error, UnicodeError) as exc:
        if not about_a_value(exc):
            raise
        if len(endings) > 1:
            return sum(_settle_some(connection, [ending], config, worker=worker) for ending in endings)
        log.warning("remains.refused", job_id=endings[0].id, error=type(exc).__name__)
        return 0
    return len(endings)


def _settle_held(connection: Connection, endings: Iterable[Ending], config: Config, *, worker: UUID) -> None:
    left = list(endings)
    for _ in range(PATIENCE):
        said = settle.settle(connection.execute, left, worker=worker, rescue_cap=config.rescue_cap).get() if left else None
        if said is None or not said.held:
            return
        left = [ending for ending in left if (ending.id, ending.fence) in said.held]
        time.sleep(HELD_SECONDS)
    raise Held(f"{len(left)} rows of jobs that have ended")
