"""Designs that are wrong on purpose, each as small as it can be: what the exact schedules must find out.

Each tells whoever acquires `held` or not; whether that is true is asked of the row afterwards.
"""

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from cassandra.policies import RetryPolicy

from locks.answers import Applied, Unknown
from locks.changes import Acquire
from locks.errors import NoAnswer
from locks.stores.cassandra import Address, CassandraStore, statements
from locks.stores.cassandra.connection import Connection, cluster, profile
from tests.support.waiting import until

SECONDS = 3.0
NODES = 3


@dataclass(frozen=True, slots=True)
class Told:
    """What a caller was told, and the nonce under which it had asked."""

    held: bool
    nonce: uuid.UUID


def _change(name: str) -> Acquire:
    now = int(time.time() * 1_000_000)
    return Acquire(name=name, fence=now, nonce=uuid.uuid4(), owner="control", lease_ms=30_000, since_ms=now // 1000)


class ReadAndForget:
    """After an unknown outcome: read once, believe what is seen, never ask again."""

    def __init__(self, address: Address, *, namespace: str) -> None:
        self.store = CassandraStore(address, namespace=namespace)

    def acquire(self, name: str) -> Told:
        change = _change(name)
        answer = self.store.attempt(change, number=0, timeout_seconds=SECONDS)
        if not isinstance(answer, Unknown):
            return Told(isinstance(answer, Applied), change.nonce)
        try:
            row = self.store.read(name, number=1, timeout_seconds=SECONDS)   # elsewhere: the first one does not answer
        except NoAnswer:
            row = None
        return Told(row is not None and row.nonce == change.nonce, change.nonce)

    def connect(self, name: str) -> None:
        self.store.read(name, number=0, timeout_seconds=SECONDS)

    def close(self) -> None:
        self.store.close()


class DriverRetries:
    """The driver's own retries and timeout, and no nonce that is compared: a refusal is somebody else's lock."""

    def __init__(self, address: Address, *, namespace: str) -> None:
        self.namespace = namespace
        used = profile(address)
        used.retry_policy, used.request_timeout = RetryPolicy(), 60.0
        self.cluster = cluster(address, used)
        self.cluster.idle_heartbeat_interval = 0   # a connection ends when the test says so
        self.session = self.cluster.connect()
        self.statement = self.session.prepare(statements.CHANGES[Acquire].format(keyspace=address.keyspace))

    def acquire(self, name: str) -> Told:
        change = _change(name)
        values: Mapping[str, Any] = {**statements.values(change), "ns": self.namespace}
        bound = self.statement.bind({column.name: values[column.name] for column in self.statement.column_metadata})
        try:
            applied = self.session.execute(bound).one()["[applied]"]
        except Exception:   # noqa: BLE001  whatever it raises in the end counts as "it did not work"
            applied = False
        return Told(applied, change.nonce)

    def connect(self, name: str) -> None:
        """Wait until every node could be asked: else the first one that is asked is not the first replica."""
        until(lambda: len([pool for pool in self.session.get_pools() if not pool.is_shutdown]) == NODES, timeout=30)

    def close(self) -> None:
        self.cluster.shutdown()


class TimeToLive:
    """A row that expires: whoever coordinates an LWT decides by its own wall clock whether it has."""

    TABLE = "CREATE TABLE IF NOT EXISTS locks.expiring (name text PRIMARY KEY, owner uuid)"
    TAKE = "INSERT INTO {keyspace}.expiring (name, owner) VALUES (:name, :owner) IF NOT EXISTS USING TTL 20"

    def __init__(self, address: Address, *, host: str) -> None:
        self.connection = Connection(replace(address, hosts=(host,)), texts={"take": self.TAKE})
        self.host = host

    def acquire(self, name: str) -> Told:
        """Have the node of this host coordinate."""
        nonce, session = uuid.uuid4(), self.connection.session(SECONDS)
        host = next(each for each in session.cluster.metadata.all_hosts() if each.address == self.host)
        bound = self.connection._prepared["take"].bind({"name": name, "owner": nonce})
        return Told(session.execute(bound, host=host).one()["[applied]"], nonce)

    def close(self) -> None:
        self.connection.close()
