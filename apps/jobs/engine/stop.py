"""How a worker stops: warm, cold, and when the broker was lost in between."""

import time
from typing import Any

import structlog

from apps.jobs import publishing
from apps.jobs.engine import turns
from apps.jobs.engine.bookkeeper import Bookkeeper
from apps.jobs.engine.request import JobRequest
from apps.jobs.lifecycle import AttemptOutcome

TURN_SECONDS = 0.2
CLOSE_SECONDS = 3.0

log = structlog.get_logger(__name__)


def dropped(book: Bookkeeper) -> list[JobRequest]:
    """Return claimed requests that Celery has dropped with its broker connection, expecting a redelivery.

    There will be none, because there was no message. What a child already has in its pipe is put back where the pool
    looks for it, so that its result is not lost.
    """
    found = []
    for request in tuple(book.flying):
        handle = request.handle
        if book.threads:
            is_dropped = handle is None or (book.draining and handle.f.cancel())
        else:
            is_dropped = handle is None or not (handle._accepted or handle._write_to or handle.ready())  # noqa: SLF001  contract test
            if not is_dropped and not handle.ready():
                book.pool._pool._cache.setdefault(handle._job, handle)  # noqa: SLF001  as above
        if is_dropped and request.over:
            request.returned()   # settled while it waited: only its slot is left
        elif is_dropped:
            found.append(request)
    return found


def warm(book: Bookkeeper, hub: Any) -> None:
    """Give back what has not begun, and let what runs end within the grace; then end its processes and give it back."""
    since = time.monotonic()
    book.draining = True
    book.ledger.fetches.clear()
    book.ledger.announce_stop()
    queues = book.give_back()
    for request in dropped(book):
        request.end(AttemptOutcome.RELEASED)
    for request in book.running():
        book.give_back_claims(request.recall())
    _turn(book, hub, until=since + book.config.stop_grace_seconds)
    for request in book.running():   # out of grace: kill first, then let others run it
        if not book.threads and request.worker_pid:
            book.pool.terminate_job(request.worker_pid, 9)
    close(book)
    for queue in queues:   # others need not wait for their next look
        publishing.ring(queue)
    publishing.flush()
    log.info("worker.stopped", seconds=round(time.monotonic() - since, 2))


def _turn(book: Bookkeeper, hub: Any, *, until: float) -> None:
    """Turn Celery's loop until nothing runs any more: it is what reads the children's results."""
    loop = hub.create_loop()
    # In a closing pool maintain_pool does nothing, and a child that died would be waited for.
    reap = (lambda: None) if book.threads else book.pool._pool._join_exited_workers  # noqa: SLF001  contract test
    wake = hub.call_repeatedly(TURN_SECONDS, reap)
    while (book.holdings or book.unsettled()) and time.monotonic() < until:
        loop = turns.turn(hub, loop)
        book.take_answers()
    wake.cancel()


def close(book: Bookkeeper) -> None:
    """Give back at once whatever is still ours, and let the ledger make its last commit."""
    book.draining = True
    until = time.monotonic() + CLOSE_SECONDS
    while book.ledger.thread is not None and time.monotonic() < until:
        book.take_answers()
        book.give_back()
        for request in list(book.running()):
            request.stop()
        if not book.unsettled():
            break
        time.sleep(0.01)
    if book.keys is not None:
        book.keys.close()
    book.ledger.close()
    if book.ledger.thread is not None:
        book.ledger.thread.join(max(0.1, until - time.monotonic()))
    if book.shelf is not None and not book.ledger.owes():   # else the next worker settles what this one could not
        book.shelf.take_down()
        book.shelf = None
