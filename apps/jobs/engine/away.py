"""What a worker does while it cannot reach the broker: it works on.

The broker is a doorbell. Celery waits for a lost one in its loop thread, and nothing else happens there meanwhile: nothing
would be settled, no cancellation heard and no timeout kept for as long as the outage lasts, while the lease of whatever the
worker holds is renewed. So a thread of its own tries to connect, and the loop thread turns a loop that knows the pool
and the timers and no socket of the broker: jobs end, and new ones are claimed, by looking instead of by being rung for.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, count, repeat
from threading import Thread
from typing import Any

import structlog
from celery.worker import consumer, loops, state
from kombu.asynchronous import Hub
from kombu.exceptions import OperationalError

from apps.jobs.engine import stop, turns
from apps.jobs.engine.bookkeeper import Bookkeeper

PAUSES = (0.5, 1.0, 2.0, 4.0)     # between two tries, in seconds; the last for as long as it takes
AT_ONCE_SECONDS = 0.1             # a broker that is there answers sooner
TICK_SECONDS = 0.5

log = structlog.get_logger(__name__)


class Consumer(consumer.Consumer):
    """Celery's consumer, whose worker works on while a lost broker is looked for."""

    def ensure_connected(self, conn: Any) -> Any:
        """Return the connection once there is one; raise what Celery raises when the worker is to stop meanwhile."""
        conf = self.app.conf
        if self.app.latchwork.ledger.thread is None or not conf.broker_connection_retry:   # nothing to look after yet
            return super().ensure_connected(conn)
        with _absent(self) as absence:
            for tried, pause in zip(count(), chain(PAUSES, repeat(PAUSES[-1])), strict=False):
                try:
                    absence.wait_for(Connecting(conn))
                except (OperationalError, *conn.recoverable_connection_errors) as exc:
                    if conf.broker_connection_max_retries is not None and tried >= conf.broker_connection_max_retries:
                        raise
                    log.warning("worker.without_broker", broker=conn.as_uri(), error=f"{type(exc).__name__}: {exc}", again_in=pause)
                    conn.maybe_switch_next()
                    absence.spend(pause)
                else:
                    break
        return conn


class Connecting(Thread):
    """One try to connect, in a thread of its own: a broker that accepts and says nothing takes its time."""

    def __init__(self, conn: Any) -> None:
        super().__init__(daemon=True, name="broker")
        self._conn = conn
        self._error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self._conn.ensure_connection(max_retries=0)
        except BaseException as exc:  # noqa: BLE001  raised again where it is waited for
            self._error = exc

    def result(self) -> None:
        """Raise what the try has raised."""
        if self._error is not None:
            raise self._error


class Absence:
    """One time without a broker. Loop thread only."""

    def __init__(self, consumer: Any) -> None:
        self.consumer = consumer
        self.book: Bookkeeper = consumer.app.latchwork
        self._hub: Hub | None = None
        self._loop: Any = None
        self._entries: set[Any] = set()
        self._tick_at = 0.0

    def wait_for(self, connecting: Connecting) -> None:
        """Work until a try has ended; raise what it has raised, or what Celery raises when the worker is to stop."""
        connecting.join(AT_ONCE_SECONDS if self._hub is None else 0.0)
        while connecting.is_alive():
            self._turn()
        connecting.result()

    def spend(self, seconds: float) -> None:
        """Work for so long; raise as above."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self._turn()

    def _turn(self) -> None:
        state.maybe_shutdown()
        if self._hub is None:
            self._begin()
        now = time.monotonic()
        if now >= self._tick_at:
            self._tick_at = now + TICK_SECONDS
            self.book.tick()
        self._loop = turns.turn(self._hub, self._loop)
        for called in self.consumer.hub._pop_ready():  # noqa: SLF001  by other threads, who know of one loop; contract test
            called()
        self.book.take_answers()

    def _begin(self) -> None:
        """Listen to the pool, and hand over again what Celery has dropped with its connection."""
        celerys, pool = self.consumer.hub, self.consumer.pool
        before = loops._timer_entries(celerys.timer)  # noqa: SLF001  contract test
        self._hub = Hub(timer=celerys.timer)
        pool.register_with_event_loop(self._hub)
        if not self.book.threads:
            self._hub.on_tick.add(pool._pool.on_poll_start)  # noqa: SLF001  contract test
        self._hub.call_repeatedly(stop.TURN_SECONDS, _nothing)   # no turn lasts longer
        self._entries = loops._timer_entries(celerys.timer) - before  # noqa: SLF001  as above
        if (waker := celerys._waker) is not None:  # noqa: SLF001  as above
            self._hub.add_reader(waker.fileno(), celerys._on_wakeup, waker)  # noqa: SLF001  as above
        celerys.consolidate_callback = self._hub.consolidate_callback   # through which what is handed over is written
        self._loop = self._hub.create_loop()
        log.info("worker.works_without_broker", held=len(self.book.holdings))
        for request in stop.dropped(self.book):
            state.task_reserved(request)
            self.consumer.on_task_request(request)

    def end(self) -> None:
        """Leave the pool to Celery's loop, which registers it anew; what no child has yet goes there too."""
        if self._hub is None:
            return
        loops._cancel_timer_entries(self.consumer.hub.timer, self._entries)  # noqa: SLF001  contract test
        self.consumer.hub.consolidate_callback = None
        self._hub.close()
        if self.consumer.pool.flush:
            self.consumer.pool.flush()


@contextmanager
def _absent(consumer: Any) -> Iterator[Absence]:
    absence = Absence(consumer)
    try:
        yield absence
    finally:
        absence.end()


def _nothing() -> None:
    """Be a timer."""
