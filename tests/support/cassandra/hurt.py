"""A ring that can be hurt in every way that the locks have to survive, and healed again."""

import shutil
from dataclasses import replace
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Self

from core.devserver.cassandra.node import Cassandra, Tuning
from core.devserver.cassandra.programs import Programs
from core.devserver.cassandra.ring import Ring
from locks.stores.cassandra import Address, CassandraStore, schema
from tests.support.cassandra import clocks, proxy
from tests.support.cassandra.clocks import NodeClock
from tests.support.cassandra.proxy import Faults

KEYSPACE = "locks"


class HurtRing:
    """Three nodes, their clocks, and a proxy in front of each.

    `internode_timeout` is Cassandra's own, which makes nodes with clocks apart deaf to each other: off, unless that is tested.
    """

    def __init__(self, *, data_dir: Path, programs: Programs, paxos: str = "v2", internode_timeout: bool = False) -> None:
        jar = clocks.jar(programs)
        self.clocks = [NodeClock(data_dir / f"clock-{number + 1}") for number in range(3)]
        self.ring = Ring(
            data_dir=data_dir, programs=programs, tuning=Tuning(paxos=paxos, internode_timeout=internode_timeout),
            tune=lambda number, tuning: clocks.tuned(tuning, self.clocks[number], jar=jar),
        )
        self.paxos = paxos
        self.faults: list[Faults] = []
        self._proxies: BaseProcess | None = None

    @property
    def nodes(self) -> list[Cassandra]:
        return self.ring.nodes

    @property
    def direct(self) -> Address:
        """Where nothing stands between client and nodes."""
        return Address(hosts=tuple(self.ring.contact_points), port=self.ring.port, keyspace=KEYSPACE)

    @property
    def proxied(self) -> Address:
        """Where frames may be lost and held."""
        hosts = tuple(proxy.translate(host) for host in self.ring.contact_points)
        return Address(hosts=hosts, port=self.ring.port, keyspace=KEYSPACE, translate=proxy.translate)

    def in_order(self, store: CassandraStore, name: str) -> list[Cassandra]:
        """Return the nodes as every client asks them about a lock: the first decides. Those known to be down are left out."""
        session = store.connection.session(5)
        bound = store.connection._prepared["read"].bind({"ns": store.namespace, "name": name})
        policy = session.cluster.profile_manager.default.load_balancing_policy
        nodes = {node.host: node for node in self.nodes}
        return [nodes[host.address] for host in policy.make_query_plan(store.address.keyspace, bound)]

    def start(self) -> Self:
        """Start everything, and make the tables."""
        for clock in self.clocks:
            clock.file.parent.mkdir(parents=True, exist_ok=True)
            clock.set(0)
        try:
            self.ring.start()
            self.faults, self._proxies = proxy.start(self.ring.contact_points, port=self.ring.port)
            schema.apply(self.direct)
        except BaseException:
            self.kill()
            raise
        return self

    def kill(self) -> None:
        """End everything at once."""
        self.ring.kill()
        if self._proxies is not None:
            self._proxies.kill()
            self._proxies.join()

    def wipe(self, number: int) -> None:
        """Kill a node and take its disk away. As it is, the others let it in no more: see `replace`."""
        node = self.nodes[number]
        node.resume()
        node.kill()
        shutil.rmtree(node.folder)

    def replace(self, number: int) -> None:
        """Have a wiped node stand in for itself at its next start. It brings nothing along and is sent nothing."""
        node = self.nodes[number]
        properties = {**node.tuning.properties, "cassandra.replace_address_first_boot": node.host, "cassandra.allow_unsafe_replace": "true"}
        node.tuning = replace(node.tuning, properties=properties)

    def heal(self) -> None:
        """Undo whatever was done, and wait until the ring can be used again."""
        for fault in self.faults:
            fault.heal()
        for clock in self.clocks:
            clock.set(0)
        for node in self.nodes:
            node.resume()
            if not node.running:
                node.start()
        self.ring.wait_usable()
