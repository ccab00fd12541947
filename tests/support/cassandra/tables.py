"""Tables of tests' own, known to every node before they are used."""

import contextlib

from tests.support.cassandra.hurt import HurtRing
from tests.support.waiting import until


def make(ring: HurtRing, text: str) -> None:
    """Run a CREATE TABLE IF NOT EXISTS, with `{keyspace}` in it, until all nodes agree on it."""
    from cassandra import DriverException, OperationTimedOut  # the driver is of no use to tests without nodes

    from locks.stores.cassandra.connection import Connection

    plain = Connection(ring.direct, texts={})

    def made() -> bool:
        with contextlib.suppress(OperationTimedOut, DriverException):
            session = plain.session(10)
            session.execute(text.format(keyspace=ring.direct.keyspace), timeout=20)
            return bool(session.cluster.control_connection.wait_for_schema_agreement(wait_time=10))
        return False

    try:
        until(made, timeout=90, message="the nodes never agreed on the table")
    finally:
        plain.close()


def address(ring: HurtRing) -> str:
    """Return the ring's address as settings give it."""
    return f"cassandra://{','.join(ring.direct.hosts)}:{ring.direct.port}/{ring.direct.keyspace}"
