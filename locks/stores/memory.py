"""Locks in this process's memory: for tests of what uses locks, and of locks themselves."""

import heapq
import threading
import uuid
from collections.abc import Callable
from typing import Protocol, TypeVar

from locks import transition
from locks.answers import Answer, Applied, Refused
from locks.changes import Change, RaiseFloor
from locks.events import Event
from locks.forking import remember_to_forget
from locks.row import Row

T = TypeVar("T")


class Network(Protocol):
    """What stands between a client and the rows: it may deliver late, twice or never, and lose answers on their way back."""

    def carry(self, change: Change, deliver: Callable[[], Answer]) -> Answer:
        """Bring a change to the rows, or not, and return what the client hears."""

    def fetch(self, reading: Callable[[], T]) -> T:
        """Return what a reading shows, or raise NoAnswer."""


class Direct:
    """A network on which nothing is ever lost."""

    def carry(self, _: Change, deliver: Callable[[], Answer]) -> Answer:
        return deliver()

    def fetch(self, reading: Callable[[], T]) -> T:
        return reading()


class MemoryStore:
    """Rows in a dictionary, changed under one guard. It fails only as its network does: `locks.testing.network` has bad ones."""

    def __init__(
        self, namespace: str = "default", *, attempt_seconds: float = 1.0, shortest_lease_seconds: float = 0.05,
        network: Network | None = None,
    ) -> None:
        self.namespace, self.attempt_seconds, self.shortest_lease_seconds = namespace, attempt_seconds, shortest_lease_seconds
        self.network = network or Direct()
        self._rows: dict[str, Row] = {}
        self._floor = 0
        self._events: dict[uuid.UUID, Event] = {}
        self.forget()
        remember_to_forget(self)

    def forget(self) -> None:
        """Begin anew in a forked child, whose rows are a copy that nobody else sees."""
        self._guard = threading.Lock()

    def attempt(self, change: Change, *, number: int, timeout_seconds: float) -> Answer:   # noqa: ARG002  one replica, no waiting
        return self.network.carry(change, lambda: self.deliver(change))

    def deliver(self, change: Change) -> Answer:
        """Carry out one copy of a change, at this instant."""
        with self._guard:
            if isinstance(change, RaiseFloor):
                if self._floor >= change.fence:
                    return Refused(None)
                self._floor = change.fence
                return Applied()
            row = self._rows.get(change.name)
            if not transition.holds(change, row):
                return Refused(row)
            after = transition.effect(change, row)
            if after is None:
                del self._rows[change.name]
            else:
                self._rows[change.name] = after
            return Applied()

    def read(self, name: str, *, number: int, timeout_seconds: float) -> Row | None:   # noqa: ARG002  as above
        return self.network.fetch(lambda: self._rows.get(name))

    def look(self, name: str, *, number: int, timeout_seconds: float) -> Row | None:   # noqa: ARG002  as above
        return self.network.fetch(lambda: self._rows.get(name))

    def floor(self, *, number: int, timeout_seconds: float) -> int:   # noqa: ARG002  as above
        return self.network.fetch(lambda: self._floor)

    def names(self, *, prefix: str, after: str, limit: int, timeout_seconds: float) -> list[str]:   # noqa: ARG002  as above
        with self._guard:
            found = [name for name in self._rows if name.startswith(prefix) and name > after]
        return self.network.fetch(lambda: heapq.nsmallest(limit, found))    # by code points, which is by UTF-8 bytes

    def record(self, event: Event, *, timeout_seconds: float) -> None:   # noqa: ARG002  as above
        def writing() -> None:
            self._events[event.id] = event

        self.network.fetch(writing)

    def events(self, name: str, *, limit: int, timeout_seconds: float) -> list[Event]:   # noqa: ARG002  as above
        def reading() -> list[Event]:
            kept = [event for event in reversed(self._events.values()) if name in ("", event.name)]
            return sorted(kept, key=lambda event: event.id.time, reverse=True)[:limit]

        return self.network.fetch(reading)

    def close(self) -> None:
        """Keep the rows: they have no other place."""
