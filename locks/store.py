"""The few operations that a store of locks must offer, and exactly what each promises.

A store keeps the rows of one namespace. It makes one attempt at a time and never repeats by itself: whoever calls repeats,
with the same change, so that one rule for unknown outcomes holds for all stores. What a store must guarantee:

1. Changes of one name, and linearizable readings of it, take effect one after the other, each at one instant.
2. `attempt` evaluates the condition and writes the effect at one such instant, for the whole row.
3. Nothing else ever writes or expires a row. No clock of a server takes part in a condition.
4. An answer is never better than what is known. In doubt it is `Unknown`; an exception of the driver that is about the
   answer of a server never leaves the store. What is a fault of ours (a wrong statement, a missing table, a log-in that is
   refused) is raised as it came: repeating that would be for ever.

An attempt that is over for the caller (its `timeout_seconds` has passed) may still take effect later; the answer is then
`Unknown`. Stores may be used by several threads at once, and by a forked child, which makes its own connections.
`locks.testing` holds the contract as tests that run against any store.
"""

from typing import Protocol

from locks.answers import Answer
from locks.changes import Change
from locks.events import Event
from locks.row import Row


class Store(Protocol):
    """Rows of one namespace, changed by conditional operations only."""

    @property
    def namespace(self) -> str:
        """Which rows these are; the same name in two namespaces is two locks."""

    @property
    def attempt_seconds(self) -> float:
        """Return how long one attempt is given: after that, another one, elsewhere, is worth more than waiting on."""

    @property
    def shortest_lease_seconds(self) -> float:
        """Return the shortest lease that makes sense: several attempts have to fit into a third of it."""

    def attempt(self, change: Change, *, number: int, timeout_seconds: float) -> Answer:
        """Try this change once, within the time.

        `number` counts the attempts of one operation from 0: the store asks its first choice of replica at 0, the same
        for all clients, and the next ones after that. With 0.0 seconds or less to go it may answer NotDone at once.
        """

    def read(self, name: str, *, number: int, timeout_seconds: float) -> Row | None:
        """Return the row as of one instant between call and return, after every change answered before; else raise NoAnswer.

        It may have to finish what other clients have begun.
        """

    def look(self, name: str, *, number: int, timeout_seconds: float) -> Row | None:
        """Return the row as it is or was a moment ago, cheaply and without disturbing anybody; else raise NoAnswer.

        For waiting and for showing: a stale answer may make a change be refused, and nothing worse.
        """

    def floor(self, *, number: int, timeout_seconds: float) -> int:
        """Return the floor of the namespace (0 when it has none), linearizable as `read`; else raise NoAnswer."""

    def names(self, *, prefix: str, after: str, limit: int, timeout_seconds: float) -> list[str]:
        """Return the next names that begin with `prefix`, above `after`, ordered by their UTF-8 bytes; else raise NoAnswer.

        Every name is among them before it is granted for the first time, and as long as it has a row from then on. One
        without a row may be too, and one with a row that nobody was ever granted may not.
        """

    def record(self, event: Event, *, timeout_seconds: float) -> None:
        """Keep an audit entry durably, else raise NoAnswer. The same event again is kept once (its id)."""

    def events(self, name: str, *, limit: int, timeout_seconds: float) -> list[Event]:
        """Return the latest entries of a name ("" for those of all names), newest first; else raise NoAnswer."""

    def close(self) -> None:
        """Give back connections; the next use makes new ones."""
