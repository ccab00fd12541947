"""One node of Cassandra 5.0 as a process: alone for a developer, or at its place in a ring of several."""

import contextlib
import signal
import socket
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from core.devserver import ports
from core.devserver.cassandra import options
from core.devserver.cassandra.programs import Programs
from core.devserver.server import Server

TEMPLATE = Path(__file__).with_name("cassandra.yaml.template")
LOGBACK = Path(__file__).with_name("logback.xml")
TOKENS = 2**64
OPTIONS_FRAME, SUPPORTED = struct.pack(">BBhBI", 4, 0, 0, 5, 0), 6   # of the native protocol, version 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a node stands: its own address, and all of its ring in their order."""

    host: str = ports.HOST
    hosts: tuple[str, ...] = (ports.HOST,)

    @property
    def token(self) -> int:
        """Return the start of this node's share; all shares are equal."""
        return -(TOKENS // 2) + self.hosts.index(self.host) * TOKENS // len(self.hosts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """What tests vary."""

    paxos: str = "v2"
    internode_timeout: bool = True
    extra_jars: Sequence[Path] = ()
    properties: Mapping[str, str] = field(default_factory=dict)
    archiving: Path | None = None   # where to write the archive of classes at the end

    @property
    def purging(self) -> str:
        """Return when Paxos forgets: with v2 not before a repair, so that no node with a slow clock starts anew."""
        return "repaired" if self.paxos == "v2" else "legacy"


class Cassandra(Server):
    """A Cassandra node. Anybody on this machine may talk to it: it listens on loopback and knows no passwords."""

    name = "cassandra"
    title = "Cassandra"
    program = "java"
    die_on = signal.SIGKILL        # its commit log is on the disk with every answer
    ready_seconds: ClassVar[float] = 120

    def __init__(
        self, *, data_dir: Path, programs: Programs, name: str = "cassandra", place: Place | None = None, tuning: Tuning | None = None,
    ) -> None:
        self.name = name
        super().__init__(data_dir=data_dir.resolve())
        self.programs, self.place, self.tuning = programs, place or Place(), tuning or Tuning()
        self.host = self.place.host
        self.storage_port = 0

    @property
    def contact_point(self) -> str:
        """Return what stands in LOCKS_URL between the scheme and the keyspace."""
        return f"{self.host}:{self.port}"

    def prepare(self) -> None:
        self.folder.mkdir(mode=0o700, exist_ok=True)
        self.storage_port = self.storage_port or ports.keep(self.data_dir, f"{self.name}-storage")

    def command(self) -> list[str | Path]:
        text = TEMPLATE.read_text(encoding="utf-8").format(
            folder=self.folder, token=self.place.token, host=self.host, port=self.port, storage_port=self.storage_port,
            # every node is a seed: another one gives up when it is ready before its seed
            seeds=",".join(f"{host}:{self.storage_port}" for host in self.place.hosts),
            paxos=self.tuning.paxos, purging=self.tuning.purging, internode_timeout=str(self.tuning.internode_timeout).lower(),
        )
        (self.folder / "cassandra.yaml").write_text(text, encoding="utf-8")
        return options.command(
            programs=self.programs, folder=self.folder, logback=LOGBACK, extra_jars=self.tuning.extra_jars,
            properties=self.tuning.properties, archiving=self.tuning.archiving,
        )

    def is_ready(self) -> bool:
        """Tell whether it answers CQL. In a ring that is too early: see `Ring.wait_usable()`."""
        with contextlib.suppress(OSError), socket.create_connection((self.host, self.port), timeout=1) as connection:
            connection.sendall(OPTIONS_FRAME)
            return connection.recv(9)[4:5] == bytes([SUPPORTED])
        return False
