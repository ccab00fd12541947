"""What a cluster must be like for these locks, looked at before they are used: each finding comes with its remedy.

`facts` asks every node itself; `findings` judges, without a cluster, and so is tested without one.
"""

import enum
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from locks.stores.cassandra import paxos
from locks.stores.cassandra.address import Address
from locks.stores.cassandra.connection import Connection

SECONDS = 5.0
SETTINGS = (
    *paxos.NAMES, "paxos_on_linearizability_violations", "commitlog_sync", "cas_contention_timeout", "write_request_timeout",
    "internode_timeout",
)
PROPERTY = "cassandra.unsafe.disable-serial-reads-linearizability"
OFFSET_SECONDS = 1.0          # half a request timeout
REQUEST_SECONDS = 2.0         # Cassandra's own write_request_timeout
CLIENT_SECONDS = 60.0
REPLICAS = 3
DURATION = re.compile(r"(\d+)(ms|s|m)?")
UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, None: 0.001}


class Weight(enum.StrEnum):
    """How much a finding matters."""

    WRONG = "wrong"
    """Locks may be granted twice: do not start."""
    RISK = "risk"
    """Locks hold, until something fails that they should have survived."""
    COST = "cost"
    """Locks hold, and answer later or less often than they could."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that is not as it should be, where, and what to do about it."""

    weight: Weight
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.weight}: {self.what}. {self.remedy}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """What one node tells of itself."""

    name: str
    version: tuple[int, ...]
    datacenter: str
    settings: Mapping[str, str]
    serial_reads_disabled: bool
    ahead_seconds: float
    """Of our clock, at most wrong by half the time that asking took."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is judged."""

    nodes: tuple[Node, ...]
    silent: tuple[str, ...]
    """Nodes that did not answer."""
    replication: Mapping[str, str] | None
    """Of the keyspace; None: there is none."""
    tables: Mapping[str, int] = field(default_factory=dict)
    """The time to live that rows of each table get."""


def facts(address: Address, *, timeout_seconds: float = SECONDS) -> Facts:
    """Ask every node; a fault in the address or the log-in is raised, a node that is away is named."""
    connection = Connection(address, texts={}, serial=frozenset())
    try:
        session = connection.session(timeout_seconds)
        nodes, silent = [], []
        for host in session.cluster.metadata.all_hosts():
            try:
                nodes.append(_node(session, host))
            except Exception as exc:  # noqa: BLE001  whatever is wrong with it, it does not answer
                silent.append(f"{host.endpoint} ({type(exc).__name__})")
        keyspaces = session.execute(f"SELECT replication FROM system_schema.keyspaces WHERE keyspace_name = '{address.keyspace}'")
        tables = session.execute(
            f"SELECT table_name, default_time_to_live AS lifetime FROM system_schema.tables WHERE keyspace_name = '{address.keyspace}'",
        )
        return Facts(
            nodes=tuple(nodes), silent=tuple(silent),
            replication=next((dict(row["replication"]) for row in keyspaces), None),
            tables={row["table_name"]: row["lifetime"] or 0 for row in tables},
        )
    finally:
        connection.close()


def findings(known: Facts, address: Address) -> list[Finding]:
    """Judge, the worst first."""
    found = [*_of_keyspace(known, address), *_of_nodes(known), *_of_clocks(known), *_of_times(known, address)]
    return sorted(found, key=lambda finding: list(Weight).index(finding.weight))


def _of_keyspace(known: Facts, address: Address) -> Iterator[Finding]:
    make = "Run manage.py locks_schema"
    if known.replication is None or "locks" not in known.tables:
        yield Finding(weight=Weight.WRONG, what=f"keyspace {address.keyspace} has no table of locks", remedy=make)
        return
    if known.tables["locks"]:
        yield Finding(
            weight=Weight.WRONG, what=f"rows of {address.keyspace}.locks expire after {known.tables['locks']} s, and tokens with them",
            remedy=f"ALTER TABLE {address.keyspace}.locks WITH default_time_to_live = 0",
        )
    factors = {name: int(value) for name, value in known.replication.items() if value.isdecimal()}
    datacenters = {node.datacenter for node in known.nodes}
    if "SimpleStrategy" in known.replication.get("class", "") and len(datacenters) > 1:
        yield Finding(
            weight=Weight.RISK, what="SimpleStrategy knows nothing of the data centres that there are",
            remedy="ALTER KEYSPACE … NetworkTopologyStrategy, then nodetool repair --full on each node",
        )
    fewest = min(factors.values(), default=0)
    if fewest < REPLICAS:
        yield Finding(
            weight=Weight.RISK, what=f"each lock has {fewest} {'replica' if fewest == 1 else 'replicas'}, so that no node may fail",
            remedy=f"With three nodes or more: ALTER KEYSPACE {address.keyspace} to 3 replicas, then nodetool repair --full on each node",
        )
    if address.local and address.datacenter and "replication_factor" not in factors and address.datacenter not in factors:
        yield Finding(
            weight=Weight.WRONG, what=f"locks are to be decided in {address.datacenter}, which has no replica of them",
            remedy="Name a data centre of the keyspace's replication in the address, or leave out level=local",
        )


def _of_nodes(known: Facts) -> Iterator[Finding]:
    for name in known.silent:
        yield Finding(weight=Weight.RISK, what=f"node {name} does not answer", remedy="Start it, or see its log")
    if len({node.version[:2] for node in known.nodes}) > 1:
        yield Finding(
            weight=Weight.RISK, what=f"nodes have different versions: {_by(known, lambda node: '.'.join(map(str, node.version)))}",
            remedy="Finish the upgrade before anything else is changed",
        )
    for node in known.nodes:
        yield from _of_version(node)
        yield from _of_paxos(node)
    variants = {node.settings.get("paxos_variant", "v1") for node in known.nodes}
    if len(variants) > 1:
        yield Finding(
            weight=Weight.WRONG, what=f"nodes run different Paxos: {_by(known, lambda node: node.settings.get('paxos_variant', 'v1'))}",
            remedy="Set the same paxos_variant in each cassandra.yaml (v2 after nodetool repair --full -pr on each) and restart one by one",
        )


def _of_version(node: Node) -> Iterator[Finding]:
    if node.version < (4, 1):
        yield Finding(
            weight=Weight.COST, what=f"{node.name} runs {_dotted(node)}, which knows no Paxos v2", remedy="Upgrade to the latest 5.0",
        )
    purging = node.settings.get("paxos_state_purging", "legacy")
    if (4, 1) <= node.version < (4, 1, 6) and purging != "legacy":
        yield Finding(
            weight=Weight.WRONG, what=f"{node.name} runs {_dotted(node)} with paxos_state_purging: {purging}, which may bring back "
            "a deleted row (CASSANDRA-19617)", remedy="Upgrade to 4.1.6 or later",
        )


def _of_paxos(node: Node) -> Iterator[Finding]:
    variant, settings = node.settings.get("paxos_variant", "v1"), node.settings
    if "without_linearizable" in variant or node.serial_reads_disabled:
        how = f"paxos_variant: {variant}" if "without" in variant else f"-D{PROPERTY}"
        yield Finding(
            weight=Weight.WRONG, what=f"{node.name} runs with {how}: refused LWTs and SERIAL reads tell the past",
            remedy="Set paxos_variant: v2, leave that property out, and restart",
        )
    elif variant == "v1":
        yield Finding(
            weight=Weight.COST, what=f"{node.name} runs Paxos v1: one in seven answers is unknown when eight ask for one lock",
            remedy="nodetool repair --full -pr on each node, then paxos_variant: v2 and paxos_state_purging: repaired on all",
        )
    elif settings.get("paxos_state_purging", "legacy") != "repaired":
        yield Finding(
            weight=Weight.RISK, what=f"{node.name} forgets what Paxos promised after a while: a node whose clock was set back may lose "
            "a write then", remedy="Set paxos_state_purging: repaired on all nodes, and run nodetool repair --paxos-only from time to time",
        )
    if paxos.leaves_open(settings):
        yield Finding(
            weight=Weight.RISK, what=f"{node.name} does not finish what Paxos has decided when nodes come and go: a grant may be forgotten then",
            remedy="Leave out paxos_repair_enabled and skip_paxos_repair_on_topology_change (and its _keyspaces), and restart",
        )
    if settings.get("commitlog_sync", "periodic") == "periodic":
        yield Finding(
            weight=Weight.RISK, what=f"{node.name} answers before it has written (commitlog_sync: periodic): a power cut of two nodes "
            "forgets grants", remedy="Set commitlog_sync: batch (or group), and restart",
        )
    if settings.get("paxos_on_linearizability_violations", "ignore") == "ignore":
        yield Finding(
            weight=Weight.COST, what=f"{node.name} says nothing when SERIAL and LOCAL_SERIAL are mixed on one row",
            remedy="Set paxos_on_linearizability_violations: fail",
        )


def _of_clocks(known: Facts) -> Iterator[Finding]:
    """With `internode_timeout`, which is the default, replicas judge by the sender's clock whether a message came too late."""
    if not known.nodes:
        return
    offsets = [node.ahead_seconds for node in known.nodes]
    apart = max(offsets) - min(offsets)
    deaf = any(node.settings.get("internode_timeout", "true") != "false" for node in known.nodes)
    longest = max(seconds(node.settings.get("write_request_timeout", "")) or REQUEST_SECONDS for node in known.nodes)
    told = f"clocks of the nodes are {apart:.1f} s apart: {_by(known, lambda node: f'{node.ahead_seconds:+.1f} s')}"
    if deaf and apart >= longest:
        yield Finding(
            weight=Weight.RISK, what=f"{told}; with internode_timeout: true nodes that are more than {longest:.1f} s apart drop each "
            "other's messages, and are as good as gone for each other",
            remedy="Have chrony or ntpd keep all clocks, the one that is off first; until then restart the nodes with internode_timeout: false",
        )
    elif deaf and apart > OFFSET_SECONDS:
        yield Finding(
            weight=Weight.RISK, what=f"{told}; with internode_timeout: true nodes whose clocks are {longest:.1f} s apart drop each "
            "other's messages", remedy="Have chrony or ntpd keep all clocks",
        )
    elif apart > OFFSET_SECONDS:
        yield Finding(
            weight=Weight.COST, what=f"{told}; no lock rests on them, but nodes go on working at requests whose time is over "
            "(internode_timeout: false)", remedy="Have chrony or ntpd keep all clocks, then set internode_timeout: true",
        )
    nearest = min(offsets, key=abs)
    if abs(nearest) > CLIENT_SECONDS:
        yield Finding(
            weight=Weight.COST, what=f"this machine's clock is {abs(nearest):.0f} s off: its guesses of the next token cost a statement more",
            remedy="Have chrony or ntpd keep this machine's clock",
        )


def _of_times(known: Facts, address: Address) -> Iterator[Finding]:
    server = max((
        seconds(node.settings.get("cas_contention_timeout", "")) for node in known.nodes
    ), default=0.0)
    if server >= address.attempt_seconds:
        yield Finding(
            weight=Weight.COST, what=f"the servers give a contended LWT {server:.1f} s, and we give up an attempt after "
            f"{address.attempt_seconds:.1f} s: answers are unknown that need not be",
            remedy="Set cas_contention_timeout below it (1000ms), or attempt_seconds in the address above it",
        )


def seconds(text: str) -> float:
    """Return a duration of cassandra.yaml in seconds, 0.0 of what is none."""
    found = DURATION.fullmatch(text)
    return int(found[1]) * UNITS[found[2]] if found else 0.0


def _by(known: Facts, tell: Any) -> str:
    return ", ".join(f"{node.name} {tell(node)}" for node in known.nodes)


def _dotted(node: Node) -> str:
    return ".".join(map(str, node.version))


def _node(session: Any, host: Any) -> Node:
    def ask(text: str) -> list[Mapping[str, Any]]:
        return list(session.execute(text, host=host, timeout=SECONDS))

    began = time.time()
    told = ask("SELECT release_version, data_center, toUnixTimestamp(currentTimestamp()) AS now_ms FROM system.local")[0]
    ours = (began + time.time()) / 2
    version = tuple(int(part) for part in re.findall(r"\d+", told["release_version"])[:3])
    known = {row["name"]: row["value"] or "" for row in ask("SELECT name, value FROM system_views.settings")}
    found = ask(f"SELECT value FROM system_views.system_properties WHERE name = '{PROPERTY}'")
    return Node(
        name=str(host.endpoint), version=version, datacenter=told["data_center"],
        settings={name: known[name] for name in SETTINGS if name in known},
        serial_reads_disabled=bool(found) and found[0]["value"] == "true",
        ahead_seconds=told["now_ms"] / 1000 - ours,
    )
