"""Connections whose every wait is bounded, and what their errors say about an attempt."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen

from locks.answers import NotDone, Unknown
from locks.forking import remember_to_forget

RV = TypeVar("RV")
SETTINGS = "-c synchronous_commit=on -c default_transaction_isolation=read\\ committed -c timezone=UTC -c client_encoding=UTF8"
# said by a server that has rolled back and goes on serving: cancelled, lock not available, serialization, deadlock, no room
ROLLED_BACK = ("57014", "55P03", "40001", "40P01", "53000", "53100", "53200", "53300", "53400")
# said before anything was done
TURNED_AWAY = ("57P03", "53300", "25006")


class Bounded(psycopg.Connection[Any]):
    """A connection that gives up at `until`, also when the server says nothing at all: libpq would wait for ever."""

    until = float("inf")

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        left = max(0.0, self.until - time.monotonic())
        return super().wait(gen, interval, left if timeout is None else min(timeout, left))


class NotConnected(Exception):
    """Nothing was sent: there was no connection, and none could be made in time."""


class Connections:
    """At most so many connections of this process, each used by one attempt at a time."""

    def __init__(self, url: str, *, most: int) -> None:
        self._url, self._most = url, most
        self._idle: list[Bounded] = []
        self._round = 0   # of closing: what was lent before is not kept after
        self.forget()
        remember_to_forget(self)

    def forget(self) -> None:
        """Begin anew in a forked child. The parent's connections are kept, unused: closing them would tell the server."""
        self._inherited = self._idle
        self._idle = []
        self._guard = threading.Lock()
        self._room = threading.Semaphore(self._most)

    @contextmanager
    def one(self, *, seconds: float) -> Iterator[Bounded]:
        """Lend a connection that waits until `seconds` from now; raise NotConnected if there is none. A hurt one is closed."""
        until = time.monotonic() + seconds
        room, lent_in = self._room, self._round
        if not room.acquire(timeout=max(0.0, seconds)):
            raise NotConnected(f"all {self._most} connections of this process were in use for {seconds:.1f} s")
        try:
            connection = self._take() or self._connect(until)
            connection.until = until
            try:
                yield connection
            except BaseException:
                if connection.closed:
                    self.close()    # the server has gone: the others have lost it too, and each would cost an attempt
                connection.close()
                raise
            self._put(connection, lent_in)
        finally:
            room.release()

    def close(self) -> None:
        with self._guard:
            idle, self._idle = self._idle, []
            self._round += 1
        for connection in idle:
            connection.close()

    def _take(self) -> Bounded | None:
        with self._guard:
            return self._idle.pop() if self._idle else None

    def _put(self, connection: Bounded, lent_in: int) -> None:
        with self._guard:
            if lent_in == self._round:
                self._idle.append(connection)
                return
        connection.close()   # everything was given back while it was lent: nobody would close it again

    def _connect(self, until: float) -> Bounded:
        try:
            return Bounded.connect(
                self._url, autocommit=True, cursor_factory=psycopg.ClientCursor, application_name="latchwork locks",
                connect_timeout=max(2, round(until - time.monotonic())), options=SETTINGS,
                # a server that is gone without a word is noticed in seconds
                keepalives=1, keepalives_idle=5, keepalives_interval=2, keepalives_count=3, tcp_user_timeout=10_000,
            )
        except psycopg.OperationalError as exc:
            raise NotConnected(str(exc).strip()) from exc


def classify(error: psycopg.Error) -> NotDone | Unknown:
    """Say what an error tells about the attempt that met it; raise it again if it speaks of a fault of ours."""
    state = error.sqlstate
    why = f"{type(error).__name__}: {error}".strip()
    if state in ROLLED_BACK or state in TURNED_AWAY:
        return NotDone(why)
    if state is None or state.startswith(("08", "57", "58", "XX")):
        return Unknown(why)    # the connection broke, the time was over, or the server went down: it may have committed
    raise error
