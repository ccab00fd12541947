"""What killed workers of this host have left: ends that were told and not settled, and rows that say they live.

A worker that starts, or stands beside them, settles the ends, each under its fence: what was taken away meanwhile is
refused, as it would be from the worker itself. What they had claimed and not begun it gives back, and charges nobody for it.
Then it ends their rows, for nothing of those workers runs any more, and what ran is rescued at the dispatcher's next look
instead of when the lease would have ended.
"""

import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

import psycopg
import structlog

from apps.jobs.conf import Config
from apps.jobs.engine import shelf
from apps.jobs.engine.poolside import unpacked
from apps.jobs.engine.shelf import Shelf
from apps.jobs.lifecycle import AttemptOutcome
from apps.jobs.transitions import presence, settle
from apps.jobs.transitions.connection import TRANSACTION_SECONDS, connect
from apps.jobs.transitions.settle import Ending

MOST = 256             # endings of one statement
AGAIN_SECONDS = 0.2    # after a row that somebody held, or a database that was away
REASON = "its processes were killed"

log = structlog.get_logger(__name__)
Connection = psycopg.Connection[Any]


def look_after(config: Config, until: Callable[[], bool]) -> None:
    """Look at the start and as often as the lease is renewed, until told to stop: workers beside this one may be killed too."""
    while not until():
        look(config, until)
        time.sleep(config.heartbeat_seconds)


def look(config: Config, until: Callable[[], bool]) -> None:
    """Settle what killed workers have told, and end their rows. What is left when told to stop, the next one finds."""
    left = list(shelf.abandoned())
    while left and not until():
        try:
            with connect("latchwork remains", transaction_timeout_seconds=TRANSACTION_SECONDS) as connection:
                while left:
                    _settle(connection, left[0], config)
                    left.pop(0).take_down()
        except psycopg.Error as exc:
            log.warning("remains.later", error=_text(exc))
            time.sleep(AGAIN_SECONDS)
    for each in left:
        each.leave()


def _settle(connection: Connection, found: Shelf, config: Config) -> None:
    worker = found.signed()
    if worker is None:   # it had claimed nothing
        return
    settled = _settle_all(connection, _open(connection, found), config, worker=worker)
    released = _settle_all(connection, _unbegun(connection, found, worker), config, worker=worker)
    presence.end(connection.execute, worker=worker, reason=REASON)
    log.warning("worker.found_killed", worker=str(worker), settled=settled, released=released)


def _open(connection: Connection, found: Shelf) -> list[Ending]:
    told = [unpacked(packed) for packed in found.told()]
    return settle.still_open(connection.execute, told) if told else []


def _unbegun(connection: Connection, found: Shelf, worker: UUID) -> list[Ending]:
    begun = found.begun()
    held = presence.roll(connection.execute, worker=worker).get()
    return [
        Ending(id=each.id, fence=each.fence, outcome=AttemptOutcome.RELEASED)
        for each in held if (each.id, each.fence) not in begun
    ]


def _settle_all(connection: Connection, endings: list[Ending], config: Config, *, worker: UUID) -> int:
    batches = (endings[first:first + MOST] for first in range(0, len(endings), MOST))
    return sum(_settle_some(connection, batch, config, worker=worker) for batch in batches)


def _settle_some(connection: Connection, endings: list[Ending], config: Config, *, worker: UUID) -> int:
    """Settle a batch, and return how many of it; what the server refuses for its value is left to the rescue, and alone."""
    patience = time.monotonic() + config.lease_seconds
    try:
        while held := settle.settle(connection.execute, endings, worker=worker, rescue_cap=config.rescue_cap).get().held:
            if time.monotonic() > patience:
                return len(endings) - len(held)
            time.sleep(AGAIN_SECONDS)
    except psycopg.Error as exc:
        if connection.closed:
            raise
        if len(endings) > 1:
            return sum(_settle_some(connection, [ending], config, worker=worker) for ending in endings)
        log.warning("remains.refused", job_id=endings[0].id, error=_text(exc))
        return 0
    return len(endings)


def _text(exc: Exception) -> str:
    return f"{type(exc).__name__}: {exc}".splitlines()[0]
