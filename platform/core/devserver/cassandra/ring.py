"""Several nodes on loopback as one ring, which is ready when it says so.

A node that answers CQL is not yet a usable ring: for a second or two its peers count as dead, an LWT is refused, and a
keyspace created then stays on some nodes only. So readiness is asked for in the terms of those who will use the ring,
through each node: all peers known, a read at ALL, equal versions of the schema, one LWT that is committed at ALL.
"""

import functools
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from core import clock
from core.devserver import ports
from core.devserver.cassandra.archive import archive
from core.devserver.cassandra.node import Cassandra, Place, Tuning
from core.devserver.cassandra.programs import Programs
from core.errors import PlatformError

if TYPE_CHECKING:
    from collections.abc import Iterator

READY_SECONDS = 90.0
PAUSE_SECONDS = 0.1
PROTOCOL = 5   # else each connection tries what newer servers know
KEYSPACE = "CREATE KEYSPACE IF NOT EXISTS ready WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': {}}}"
TABLE = "CREATE TABLE IF NOT EXISTS ready.probe (id int PRIMARY KEY, n int)"
# Its keyspace has three replicas from the start: answered at ALL only when this node sees every replica alive.
READ_AT_ALL = "SELECT status FROM system_distributed.view_build_status WHERE keyspace_name = '' AND view_name = ''"


PROBE = "INSERT INTO ready.probe (id, n) VALUES ({}, 1) IF NOT EXISTS"


class NotReady(PlatformError):
    """The ring did not become usable in time; the message names the node and what it answered."""


class Ring:
    """`size` nodes below `data_dir`, each at its own loopback address and all at the same ports.

    As with every `Server`, call `start()` from the main thread.
    """

    def __init__(
        self, *, data_dir: Path, programs: Programs, size: int = 3, tuning: Tuning | None = None,
        tune: Callable[[int, Tuning], Tuning] = lambda _, tuning: tuning,
    ) -> None:
        hosts = tuple(f"127.0.0.{number + 1}" for number in range(size))
        self.programs = programs
        self.nodes = [
            Cassandra(
                data_dir=data_dir, programs=programs, name=f"cassandra-{number + 1}", place=Place(host=host, hosts=hosts),
                tuning=tune(number, tuning or Tuning()),
            )
            for number, host in enumerate(hosts)
        ]

    @property
    def contact_points(self) -> list[str]:
        """Return the addresses of all nodes."""
        return [node.host for node in self.nodes]

    @property
    def port(self) -> int:
        """Return the port of all nodes."""
        return self.nodes[0].port

    def start(self) -> Self:
        """Start all nodes at the same time and wait until each can be used for everything."""
        archive(self.programs)
        hosts = self.contact_points
        port = _free_on(hosts)
        storage_port = _free_on(hosts, without=port)
        for node in self.nodes:
            node.port, node.storage_port = port, storage_port
        try:
            for node in self.nodes:
                node.launch()
            for node in self.nodes:
                node.wait_ready()
            self.wait_usable()
        except BaseException:
            self.kill()
            raise
        return self

    def kill(self) -> None:
        """End all nodes at once, frozen ones too."""
        for node in self.nodes:
            node.resume()
            node.kill()

    def wait_usable(self) -> None:
        """Wait until every node sees every other and commits with it."""
        others = len(self.nodes) - 1
        with self.pinned() as sessions:
            for node, session in zip(self.nodes, sessions, strict=True):
                ask = functools.partial(_rows, session)
                self._until(f"peers of {node.host}", lambda ask=ask: len(ask("SELECT peer FROM system.peers_v2")) == others)  # type: ignore[misc]  # mypy infers no lambda with a default
                if others:
                    self._until(f"a read at ALL through {node.host}", lambda ask=ask: ask(READ_AT_ALL) is not None)  # type: ignore[misc]  # as above
            self.create([KEYSPACE.format(len(self.nodes)), TABLE], sessions=sessions)
            for number, session in enumerate(sessions):
                probe = functools.partial(_rows, session, PROBE.format(number))
                self._until(f"an LWT through {self.nodes[number].host}", lambda probe=probe: len(probe()) == 1)  # type: ignore[misc]  # as above

    def create(self, statements: Sequence[str], *, sessions: Sequence[Any] = ()) -> None:
        """Run statements of the schema, and return when all nodes have what they made."""
        with ExitStack() as stack:
            known = sessions or stack.enter_context(self.pinned())
            for statement in statements:
                make = functools.partial(known[0].execute, statement, timeout=10)
                self._until(statement[:60], lambda make=make: make() is not None)  # type: ignore[misc]  # as above
            self._until("one version of the schema", lambda: len({
                session.execute("SELECT schema_version FROM system.local").one()[0] for session in known
            }) == 1)

    @contextmanager
    def pinned(self) -> "Iterator[list[Any]]":
        """Open a session to each node and to no other, so that an answer is this node's answer."""
        from cassandra import ConsistencyLevel  # noqa: PLC0415  a stack without such locks loads no driver
        from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile  # noqa: PLC0415
        from cassandra.policies import FallthroughRetryPolicy, WhiteListRoundRobinPolicy  # noqa: PLC0415

        with ExitStack() as stack:
            sessions = []
            for node in self.nodes:
                profile = ExecutionProfile(
                    WhiteListRoundRobinPolicy([node.host]), FallthroughRetryPolicy(), request_timeout=3,
                    consistency_level=ConsistencyLevel.ALL,
                )
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")   # of what the driver will no longer support some day
                    cluster = Cluster(
                        [node.host], port=node.port, execution_profiles={EXEC_PROFILE_DEFAULT: profile},
                        schema_metadata_enabled=False, token_metadata_enabled=False, protocol_version=PROTOCOL,
                    )
                    stack.callback(cluster.shutdown)
                    sessions.append(cluster.connect())
            yield sessions

    def _until(self, what: str, holds: Callable[[], bool]) -> None:
        """Ask until the answer is yes, whatever goes wrong on the way."""
        give_up, last = clock.elapsed() + READY_SECONDS, ""
        while clock.elapsed() < give_up:
            try:
                if holds():
                    return
                last = "no"
            except Exception as exc:  # noqa: BLE001  anything may be wrong with a ring that forms
                last = repr(exc)
            time.sleep(PAUSE_SECONDS)
        raise NotReady(f"{what}: {last} after {READY_SECONDS:.0f} s")


def _free_on(hosts: Sequence[str], *, without: int = 0) -> int:
    """Return a port that is free at each of these addresses."""
    while True:
        port = ports.unused(without=[without])
        if all(ports.is_free(port, host=host) for host in hosts):
            return port


def _rows(session: Any, statement: str) -> list[Any]:
    return list(session.execute(statement))
