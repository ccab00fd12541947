"""`celery -A config beat`: a dispatcher in the main thread, plain periodic tasks in a thread beside it.

The two meet different dangers. The dispatcher needs PostgreSQL alone and may never be late; a periodic task is sent
straight to the broker, which may be gone or silent for minutes.
"""

import threading
from typing import Any

import structlog
from django.db import connection

from apps.jobs.scheduling.dispatcher import Dispatcher
from apps.jobs.scheduling.periodic import PeriodicScheduler

LOOK_SECONDS = 1.0        # between two passes over the periodic tasks
LONGEST_BACK_OFF = 5.0

log = structlog.get_logger(__name__)


class JobScheduler(PeriodicScheduler):
    """Beat's scheduler: each tick is one turn of the dispatcher, its wait included."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.dispatcher = Dispatcher()
        self._ended = threading.Event()
        self._heap_thread: threading.Thread | None = None

    def tick(self, *_: Any, **__: Any) -> float:
        """Take one turn; always 0, because the wait for what comes next belongs to the turn."""
        if self._heap_thread is None:
            self._heap_thread = threading.Thread(target=self._keep_time, name="periodic", daemon=True)
            self._heap_thread.start()
        self.dispatcher.turn()
        return 0.0

    def close(self) -> None:
        """End, also from a signal's handler that interrupts a tick: a statement under way is not waited for.

        The broker's connection belongs to the other thread, which the end of the process ends.
        """
        self._ended.set()
        self.dispatcher.close()

    def _keep_time(self) -> None:
        back_off = LOOK_SECONDS
        while not self._ended.is_set():
            try:
                wait = min(self.pass_once(), self.max_interval, LOOK_SECONDS)
                back_off = LOOK_SECONDS
            except Exception as exc:  # noqa: BLE001  nobody would start this thread again
                log.warning("periodic.lost", error=f"{type(exc).__name__}: {exc}", again_in=back_off)
                self.reload()
                connection.close()
                wait, back_off = back_off, min(2 * back_off, LONGEST_BACK_OFF)
            self._ended.wait(wait)
        connection.close()
