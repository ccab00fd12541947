"""Threads that wait on a store for others."""

import logging
import threading
from collections import deque
from collections.abc import Callable

IDLE_SECONDS = 10.0
logger = logging.getLogger("locks")


class Crew:
    """Run small tasks on daemon threads, made when they are needed and gone when idle.

    An executor of the standard library would hold up the end of the process for a store that does not answer.
    """

    def __init__(self, name: str, *, most: int) -> None:
        self._name, self._most = name, most
        self.forget()

    def forget(self) -> None:
        self._tasks: deque[Callable[[], None]] = deque()
        self._wake = threading.Condition()
        self._threads = self._idle = 0

    def run(self, task: Callable[[], None]) -> None:
        with self._wake:
            self._tasks.append(task)
            if self._idle >= len(self._tasks) or self._threads >= self._most:
                self._wake.notify()
                return
            self._threads += 1
        threading.Thread(target=self._work, name=self._name, daemon=True).start()

    def _work(self) -> None:
        while (task := self._next()) is not None:
            try:
                task()
            except Exception:
                logger.exception("%s.failed", self._name)    # the next task is somebody else's

    def _next(self) -> Callable[[], None] | None:
        with self._wake:
            self._idle += 1
            if not self._tasks:
                self._wake.wait_for(lambda: self._tasks, IDLE_SECONDS)
            self._idle -= 1
            if self._tasks:
                return self._tasks.popleft()
            self._threads -= 1
            return None
