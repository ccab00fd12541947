"""One acquire and one release in each design, counted by statement: what the bench repeats."""

import collections
import uuid
from datetime import timedelta
from typing import Protocol

from bench.locks.seed import SeedLocks
from locks.answers import Applied
from locks.locks import Locks
from locks.stores.cassandra import Address, CassandraStore, answers
from locks.stores.cassandra.connection import Connection

TIMEOUT_SECONDS = 60.0
LEASE_SECONDS = 30.0
RAW_SCHEMA = "CREATE TABLE IF NOT EXISTS {keyspace}.raw_rows (name text PRIMARY KEY, n bigint)"
RAW = {
    "first": "INSERT INTO {keyspace}.raw_rows (name, n) VALUES (:name, 0) IF NOT EXISTS",
    "next": "UPDATE {keyspace}.raw_rows SET n = :n WHERE name = :name IF n >= 0",
}


class Pair(Protocol):
    """Acquire a name and release it again."""

    statements: collections.Counter[str]
    connection: Connection

    def acquire(self, name: str) -> None: ...
    def release(self) -> None: ...
    def close(self) -> None: ...


class RawPair:
    """Two LWTs on one row and nothing else: the floor under any lock. The first use of a name makes its row."""

    def __init__(self, address: Address, namespace: str) -> None:
        self.statements: collections.Counter[str] = collections.Counter()
        self.connection = Connection(address, texts=RAW)
        self._namespace, self._attempt_seconds = namespace, address.attempt_seconds
        self._known: set[str] = set()
        self._name = ""

    def acquire(self, name: str) -> None:
        self._name = f"{self._namespace}/{name}"
        key = "next" if self._name in self._known else "first"
        self._known.add(self._name)
        if not self._ask(key):
            self._ask("next")

    def release(self) -> None:
        self._ask("next")

    def close(self) -> None:
        self.connection.close()

    def _ask(self, key: str) -> bool:
        for number in range(1000):
            self.statements[key] += 1
            signal: object
            try:
                signal = self.connection.ask(key, {"name": self._name, "n": 1}, number=number, timeout_seconds=self._attempt_seconds)
            except Exception as exc:  # noqa: BLE001  classify raises again what it does not know
                signal = exc
            verdict = answers.classify(signal)
            if isinstance(verdict, Applied | answers.Rejected):
                return isinstance(verdict, Applied)
        raise TimeoutError(key)


class OurPair:
    """The locks of this house, as users call them."""

    def __init__(self, address: Address, namespace: str) -> None:
        self.statements: collections.Counter[str] = collections.Counter()
        store = CassandraStore(address, namespace=namespace, told=self._told)
        self.connection, self._locks = store.connection, Locks(store)
        self._lease = timedelta(seconds=LEASE_SECONDS)

    def acquire(self, name: str, *, lease: timedelta | None = None) -> None:
        self._held = self._locks.acquire(name, lease=lease or self._lease, timeout=timedelta(seconds=TIMEOUT_SECONDS))

    def release(self) -> None:
        self._held.release()

    def renew(self) -> None:
        self._held.renew()

    def die(self) -> None:
        """Do as a process does that was stopped: renew nothing any more, and tell nobody."""
        self._locks.keeper.forget()

    def forget(self) -> None:
        """Know nothing of what other processes were seen to do."""
        self._locks = Locks(self._locks.store)

    @property
    def shortest_lease_seconds(self) -> float:
        return self._locks.store.shortest_lease_seconds

    def close(self) -> None:
        self._locks.close()

    def _told(self, statement: str, _seconds: float, outcome: str) -> None:
        self.statements[statement] += 1
        self.statements["(unknown)"] += outcome == "Unknown"


class SeedPair:
    """The design that is commonly built."""

    def __init__(self, address: Address, namespace: str) -> None:
        self.statements: collections.Counter[str] = collections.Counter()
        self._locks = SeedLocks(address, told=self._told)
        self.connection, self._namespace = self._locks.connection, namespace

    def acquire(self, name: str) -> None:
        self._held = self._locks.acquire(f"{self._namespace}/{name}", lease_seconds=LEASE_SECONDS, timeout_seconds=TIMEOUT_SECONDS)

    def release(self) -> None:
        self._locks.release(self._held)

    def close(self) -> None:
        self._locks.close()

    def _told(self, statement: str) -> None:
        self.statements[statement] += 1


PAIRS: dict[str, type[RawPair | OurPair | SeedPair]] = {"raw": RawPair, "ours": OurPair, "seed": SeedPair}


def fresh() -> str:
    """Return a namespace that nobody has used."""
    return f"bench-{uuid.uuid4().hex[:12]}"
