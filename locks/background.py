"""The one skeleton of what goes on in the background: it is asked when it wants to be called again."""

import logging
import threading
from collections.abc import Callable

LONGEST_WAIT = 1.0   # threads sleep on a clock that stands still in suspend; a thawed machine is noticed this soon
logger = logging.getLogger("locks")


class Background:
    """Call `run_once` on a daemon thread whenever it is due; the thread exists as long as something is to be done.

    `run_once` returns the seconds until it wants to be called again, or None when nothing is left to do.
    """

    def __init__(self, name: str, run_once: Callable[[], float | None]) -> None:
        self._name, self._run_once = name, run_once
        self.forget()

    def forget(self) -> None:
        self._changed = threading.Condition()
        self._news = self._runs = False

    def wake(self) -> None:
        """Have it look at once: there is something new."""
        with self._changed:
            self._news = True
            self._changed.notify()
            if self._runs:
                return
            self._runs = True
        threading.Thread(target=self._run, name=self._name, daemon=True).start()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._news = False
            try:
                wait = self._run_once()
            except Exception:
                logger.exception("%s.failed", self._name)   # a fault of ours must not end what keeps everybody's leases
                wait = LONGEST_WAIT
            with self._changed:
                if wait is None and not self._news:
                    self._runs = False
                    return
                if not self._news:
                    self._changed.wait(LONGEST_WAIT if wait is None else min(LONGEST_WAIT, max(0.0, wait)))
