"""The store on Cassandra: each operation is one statement, asked once, and what its answer means."""

import functools
import uuid
import zlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from time import perf_counter, time
from typing import Any, ClassVar

from locks import changes
from locks.answers import Answer, Applied, NotDone
from locks.changes import Change
from locks.errors import LockError, NoAnswer
from locks.events import Event
from locks.row import Row, State
from locks.stores.cassandra import statements
from locks.stores.cassandra.address import Address
from locks.stores.cassandra.connection import Connection, Levels, Pending
from locks.stores.cassandra.paxos import Paxos

LISTINGS = 1_000    # at a time
BUCKETS = 16        # of a namespace's names, so that no partition grows with all of them
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TEXTS: Mapping[Any, str] = {
    **statements.CHANGES, "read": statements.READ, "look": statements.READ, "namespace": statements.NAMESPACE,
    "first": statements.FIRST, "list": statements.LIST, "unlist": statements.UNLIST,
    "names": statements.NAMES, "names_from": statements.NAMES_FROM, "record": statements.RECORD, "events": statements.EVENTS,
    "months": statements.MONTHS, "events_of_month": statements.EVENTS_OF_MONTH,
}
SERIAL = frozenset({"read"})
# What is waited for after the decision. On a grant the next token depends: it must not be forgotten. Of the others at worst a
# lease is waited for, or a lock asked for that is there.
BRIEF: Mapping[Any, Levels] = {
    changes.Create: {Paxos.V2: "ONE"},         # its grant follows at once, and would have to finish what no table has
    changes.Acquire: {Paxos.KEPT: "ONE"},
    changes.AcquireExact: {Paxos.KEPT: "ONE"},
    changes.Renew: {Paxos.V2: "ONE", Paxos.KEPT: "ANY"},
    changes.Release: {Paxos.V2: "ONE", Paxos.KEPT: "ANY"},
}
Told = Callable[[str, float, str], None]


class MixedLevels(LockError):
    """The locks of this namespace are decided at another level: Paxos would not order ours after them."""

    def __init__(self, namespace: str, *, theirs: str, ours: str) -> None:
        self.theirs, self.ours = theirs, ours
        super().__init__(
            namespace, f"the locks of namespace {namespace!r} are decided at {theirs}, and this store asks at {ours}: "
            f"give its address level={'local' if theirs.startswith('LOCAL') else 'global'}, or use another namespace",
        )


class CassandraStore:
    """The locks of one namespace in one keyspace. Safe in threads, and after a fork.

    `told` is called after each statement with its name, its seconds and its outcome, on the caller's thread.
    """

    texts: ClassVar[Mapping[Any, str]] = TEXTS

    def __init__(self, address: Address | str, *, namespace: str = "default", told: Told = lambda *_: None) -> None:
        self.address = Address.parse(address) if isinstance(address, str) else address
        self.connection = Connection(self.address, texts=self.texts, serial=SERIAL, brief=BRIEF)
        self._namespace, self._told = namespace, told
        self._level_is_ours = False
        self._listings: dict[str, tuple[int, Pending | None]] = {}   # of new locks: as of when the name is being written, and that
        self._highest_floor = 0

    @property
    def namespace(self) -> str:
        return self._namespace

    @property
    def attempt_seconds(self) -> float:
        return self.address.attempt_seconds

    @property
    def shortest_lease_seconds(self) -> float:
        return 2.5 * self.address.attempt_seconds

    def attempt(self, change: Change, *, number: int, timeout_seconds: float) -> Answer:
        if timeout_seconds <= 0:
            return NotDone("no time left")
        if (kept := self._keeps_level(number, timeout_seconds)) is not None:
            return kept
        meanwhile = None
        if isinstance(change, changes.Create):
            meanwhile = functools.partial(self._list, change.name, number, timeout_seconds)
        elif isinstance(change, changes.AcquireExact) and change.seen.state == State.NEW:
            began = perf_counter()
            listed = self._is_listed(change, number, timeout_seconds)
            timeout_seconds -= perf_counter() - began
            if not listed or timeout_seconds <= 0:
                return NotDone("not listed yet")
        verdict = self._verdict(
            type(change), statements.values(change), number=number, timeout_seconds=timeout_seconds, meanwhile=meanwhile,
        )
        given: Answer = self._answers.answer(verdict)
        if isinstance(change, changes.Bury) and isinstance(given, Applied):
            self._is_done(self._begin("unlist", self._name(change.name, as_of=change.seen.fence), number, timeout_seconds))
        return given

    def read(self, name: str, *, number: int, timeout_seconds: float) -> Row | None:
        self._must_keep_level(number, timeout_seconds)
        return self._row("read", name, number, timeout_seconds)

    def look(self, name: str, *, number: int, timeout_seconds: float) -> Row | None:
        return self._row("look", name, number, timeout_seconds)

    def floor(self, *, number: int, timeout_seconds: float) -> int:
        """Read at QUORUM: whoever buries a row has seen its floor decided, hence on a quorum, and readings repair what they see.

        That is as good as a reading through Paxos for a number that only rises, and half as dear.
        """
        rows = self._rows("namespace", {}, number=number, timeout_seconds=timeout_seconds)
        floor = int(rows[0]["floor"]) if rows else 0
        self._highest_floor = max(self._highest_floor, floor)
        return floor

    def names(self, *, prefix: str, after: str, limit: int, timeout_seconds: float) -> list[str]:
        beyond = after.encode() >= prefix.encode()
        key, start = ("names", after) if beyond and after else ("names_from", prefix)
        asked = []
        for bucket in range(BUCKETS):
            asked.append(self._begin(key, {"bucket": bucket, "after": start, "count": limit}, 0, timeout_seconds))
            if asked[-1] is None:
                raise NoAnswer("no host")   # nor would the others have one, after as long a wait
        found = [row["name"] for pending in asked for row in self._taken(pending)]
        return sorted((name for name in found if name.startswith(prefix)), key=str.encode)[:limit]

    def record(self, event: Event, *, timeout_seconds: float) -> None:
        values = {
            "name": event.name, "id": event.id, "at_us": (event.at - EPOCH) // timedelta(microseconds=1), "kind": event.kind,
            "fence": event.token, "actor": event.actor, "reason": event.reason, "month": f"{event.at.astimezone(UTC):%Y-%m}",
        }
        self._rows("record", values, number=0, timeout_seconds=timeout_seconds)

    def events(self, name: str, *, limit: int, timeout_seconds: float) -> list[Event]:
        asked = {"count": limit}
        if name:
            return _events(self._rows("events", {**asked, "name": name}, number=0, timeout_seconds=timeout_seconds))
        found: list[Event] = []
        for row in self._rows("months", {}, number=0, timeout_seconds=timeout_seconds):   # the latest first
            month = {**asked, "month": row["month"]}
            found += _events(self._rows("events_of_month", month, number=0, timeout_seconds=timeout_seconds))
            if len(found) >= limit:
                break
        return sorted(found, key=lambda event: event.at, reverse=True)[:limit]

    def close(self) -> None:
        self.connection.close()

    @functools.cached_property
    def _answers(self) -> Any:
        from locks.stores.cassandra import answers  # noqa: PLC0415  it needs the driver, which comes with the first use

        return answers

    def _verdict(
        self, key: Any, values: Mapping[str, Any], *, number: int, timeout_seconds: float,
        meanwhile: Callable[[], None] | None = None,
    ) -> Any:
        """Ask a conditional statement once. RaiseFloor on a namespace without a row makes that row instead."""
        began = perf_counter()
        try:
            signal: object = self.connection.ask(
                key, {**values, "ns": self._namespace}, number=number, timeout_seconds=timeout_seconds, meanwhile=meanwhile,
            )
        except Exception as exc:  # noqa: BLE001  classify raises again what it does not know
            signal = exc
        verdict = self._answers.classify(signal)
        self._told(_label(key), perf_counter() - began, type(verdict).__name__)
        if key is changes.RaiseFloor and isinstance(verdict, self._answers.Rejected) and verdict.cells.get("floor") is None:
            return self._first(values["fence"], number, timeout_seconds)
        return verdict

    def _first(self, fence: int, number: int, timeout_seconds: float) -> Any:
        """Make the namespace's row; where another was faster, its floor is to be compared once more."""
        values = {"fence": fence, "serial": self.address.serial}
        verdict = self._verdict("first", values, number=number, timeout_seconds=timeout_seconds)
        return NotDone("the namespace was just made") if isinstance(verdict, self._answers.Rejected) else verdict

    def _keeps_level(self, number: int, timeout_seconds: float) -> Answer | None:
        """See once a process that the namespace is decided at our level, and fix it if it is new.

        A plain reading first: an LWT at the wrong level would be the very mixture that this is about.
        """
        if self._level_is_ours:
            return None
        try:
            rows = self._rows("namespace", {}, number=number, timeout_seconds=timeout_seconds)
        except NoAnswer as exc:
            return NotDone(exc.why)
        if not rows:
            made = self._first(0, number, timeout_seconds)
            return None if isinstance(made, Applied) else NotDone("the namespace has no level yet")
        if rows[0]["serial"] != self.address.serial:
            raise MixedLevels(self._namespace, theirs=rows[0]["serial"], ours=self.address.serial)
        self._level_is_ours = True
        return None

    def _must_keep_level(self, number: int, timeout_seconds: float) -> None:
        if isinstance(kept := self._keeps_level(number, timeout_seconds), NotDone):
            raise NoAnswer(kept.why)

    def _list(self, name: str, number: int, timeout_seconds: float) -> None:
        """Begin to write a lock's name, while its row is being made."""
        as_of = int(time() * 1_000_000)
        if len(self._listings) >= LISTINGS:
            self._listings.clear()    # of locks that others took; what is forgotten here is written again
        self._listings[name] = as_of, self._begin("list", self._name(name, as_of=as_of), number, timeout_seconds)

    def _is_listed(self, change: changes.AcquireExact, number: int, timeout_seconds: float) -> bool:
        """See that the name is written before its lock is granted for the first time: no lock was ever held unlisted.

        What was begun at its creation was in vain when the creator's clock was behind the last token of a lock of that name
        which was buried: the floor, which was read since then, is not below that token, nor above the first token of the
        new lock. So it is written anew then, and where somebody else made the row.
        """
        as_of, pending = self._listings.pop(change.name, (0, None))
        if as_of > self._highest_floor and self._is_done(pending):
            return True
        return self._is_done(self._begin("list", self._name(change.name, as_of=change.fence), number, timeout_seconds))

    def _name(self, name: str, *, as_of: int) -> dict[str, Any]:
        return {"name": name, "bucket": zlib.crc32(name.encode()) % BUCKETS, "as_of": as_of}

    def _row(self, key: str, name: str, number: int, timeout_seconds: float) -> Row | None:
        rows = self._rows(key, {"name": name}, number=number, timeout_seconds=timeout_seconds)
        found: Row | None = self._answers.row(rows[0]) if rows else None
        return found

    def _rows(self, key: str, values: Mapping[str, Any], *, number: int, timeout_seconds: float) -> list[dict[str, Any]]:
        """Ask a statement that decides nothing; raise `NoAnswer` where a server or the network gives none."""
        began = perf_counter()
        try:
            rows = self.connection.ask(key, {**values, "ns": self._namespace}, number=number, timeout_seconds=timeout_seconds)
        except Exception as exc:
            self._told(key, perf_counter() - began, "NoAnswer")
            raise NoAnswer(self._answers.classify(exc).why) from exc
        self._told(key, perf_counter() - began, "rows")
        return rows

    def _begin(self, key: str, values: Mapping[str, Any], number: int, timeout_seconds: float) -> Pending | None:
        """Send a statement that decides nothing; None when it could not be sent."""
        self._told(key, 0.0, "sent")
        try:
            return self.connection.begin(key, {**values, "ns": self._namespace}, number=number, timeout_seconds=timeout_seconds)
        except Exception as exc:  # noqa: BLE001  classify raises again what it does not know
            self._answers.classify(exc)
            return None

    def _taken(self, pending: Pending | None) -> list[dict[str, Any]]:
        """Wait for the rows of a statement that was sent; raise `NoAnswer` where there are none."""
        if pending is None:
            raise NoAnswer("no host")
        try:
            return pending.rows()
        except Exception as exc:
            raise NoAnswer(self._answers.classify(exc).why) from exc

    def _is_done(self, pending: Pending | None) -> bool:
        try:
            self._taken(pending)
        except NoAnswer:
            return False
        return True


def _label(key: Any) -> str:
    return key if isinstance(key, str) else key.__name__


def _events(rows: list[dict[str, Any]]) -> list[Event]:
    return [
        Event(
            id=uuid.UUID(str(row["id"])), at=EPOCH + timedelta(microseconds=row["at_us"]), name=row["name"], kind=row["kind"],
            token=row["fence"], actor=row["actor"], reason=row["reason"],
        )
        for row in rows
    ]
