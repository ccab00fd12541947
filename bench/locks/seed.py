"""The design that is commonly built, as an opponent: a row with a sequence, a row with owner and `expire_at`, and the wall
clocks of its clients to decide when a lease is over.

It is asked through the very same connection as ours: same driver profile, same choice of replica, same repetition of what is
unknown. What it lacks is on purpose: its clock is trusted, and its two rows change one after the other.
"""

import random
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from locks.answers import Applied, NotDone, Unknown
from locks.stores.cassandra import Address, answers
from locks.stores.cassandra.connection import Connection

SCHEMA = (
    "CREATE TABLE IF NOT EXISTS {keyspace}.seed_locks (name text PRIMARY KEY, owner uuid, fence bigint, expire_at bigint)",
    "CREATE TABLE IF NOT EXISTS {keyspace}.seed_sequence (name text PRIMARY KEY, n bigint)",
)
TEXTS: Mapping[str, str] = {
    "number": "SELECT n FROM {keyspace}.seed_sequence WHERE name = :name",
    "look": "SELECT owner, fence, expire_at FROM {keyspace}.seed_locks WHERE name = :name",
    "first": "INSERT INTO {keyspace}.seed_sequence (name, n) VALUES (:name, 1) IF NOT EXISTS",
    "next": "UPDATE {keyspace}.seed_sequence SET n = :next WHERE name = :name IF n = :n",
    "make": (
        "INSERT INTO {keyspace}.seed_locks (name, owner, fence, expire_at) VALUES (:name, :owner, :fence, :expire_at) IF NOT EXISTS"
    ),
    "take": (
        "UPDATE {keyspace}.seed_locks SET owner = :owner, fence = :fence, expire_at = :expire_at WHERE name = :name IF expire_at < :now"
    ),
    "give": "UPDATE {keyspace}.seed_locks SET expire_at = 0 WHERE name = :name IF owner = :owner",
}
SERIAL = frozenset({"number"})
LONGEST_PAUSE = 0.5


class NotTaken(Exception):
    """It was somebody else's until the time was over."""


@dataclass(frozen=True, slots=True)
class SeedLease:
    name: str
    token: int
    owner: uuid.UUID
    expire_at: float   # by the wall clock of whoever took it


class SeedLocks:
    """Acquire: read the sequence, write it, write the lock; release: one write."""

    def __init__(
        self, address: Address, *, wall: Callable[[], float] = time.time, told: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.connection = Connection(address, texts=TEXTS, serial=SERIAL)
        self._wall, self._told, self._attempt_seconds = wall, told, address.attempt_seconds

    def acquire(self, name: str, *, lease_seconds: float = 30.0, timeout_seconds: float = 10.0) -> SeedLease:
        owner, end, pause = uuid.uuid4(), time.monotonic() + timeout_seconds, 0.02
        while True:
            token, now = self._number(name), self._wall()
            values = {
                "name": name, "owner": owner, "fence": token, "expire_at": int((now + lease_seconds) * 1000), "now": int(now * 1000),
            }
            if self._applied("take", values) or self._applied("make", values):
                return SeedLease(name, token, owner, now + lease_seconds)
            while (row := self._read("look", name)) is not None and row["expire_at"] >= self._wall() * 1000:
                if time.monotonic() >= end:
                    raise NotTaken(name)
                time.sleep(random.uniform(pause / 2, pause))
                pause = min(LONGEST_PAUSE, pause * 2)

    def release(self, lease: SeedLease) -> bool:
        return self._applied("give", {"name": lease.name, "owner": lease.owner})

    def close(self) -> None:
        self.connection.close()

    def _number(self, name: str) -> int:
        """Draw the next token: again when another was faster."""
        while True:
            row = self._read("number", name)
            n = row["n"] if row else 0
            if self._applied("next", {"name": name, "n": n, "next": n + 1}) if n else self._applied("first", {"name": name}):
                return n + 1

    def _applied(self, key: str, values: Mapping[str, Any]) -> bool:
        """Ask until the answer is definite. A repetition that its own first copy refuses is taken for a refusal."""
        for number in range(1000):
            verdict = answers.classify(self._signal(key, values, number))
            if not isinstance(verdict, Unknown | NotDone):
                return isinstance(verdict, Applied)
            time.sleep(random.uniform(0.01, 0.1))
        raise NotTaken(key)

    def _read(self, key: str, name: str) -> dict[str, Any] | None:
        for number in range(1000):
            signal = self._signal(key, {"name": name}, number)
            if isinstance(signal, list):
                return signal[0] if signal else None
            answers.classify(signal)   # raises what is a fault of ours
        raise NotTaken(name)

    def _signal(self, key: str, values: Mapping[str, Any], number: int) -> object:
        self._told(key)
        try:
            return self.connection.ask(key, values, number=number, timeout_seconds=self._attempt_seconds)
        except Exception as exc:  # noqa: BLE001  classify raises again what it does not know
            return exc
