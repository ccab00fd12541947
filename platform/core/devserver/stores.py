"""The stores of one checkout: those that no address was given for are started here, and all addresses are written down.

A lock on the data folder, held as long as we live, keeps two runners off the same data.
"""

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from core.devserver import addresses, folder
from core.devserver.addresses import Addresses
from core.devserver.cassandra.node import Cassandra
from core.devserver.cassandra.programs import Programs
from core.devserver.postgres import Postgres
from core.devserver.server import Server
from core.devserver.valkey import Valkey
from core.errors import PlatformError

LOCK = "up.lock"
LOCKS_KEYSPACE = "latchwork_locks"


class AlreadyRunning(PlatformError):
    """Another runner holds the data folder."""

    def __init__(self, data_dir: Path, owner: str) -> None:
        self.data_dir, self.owner = data_dir, owner
        super().__init__(f"{data_dir} is in use by process {owner}: stop that one first, or set another DATA_DIR")


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """The addresses that the operator gave; an empty one asks for an embedded store."""

    database_url: str = ""
    broker_url: str = ""
    cache_url: str = ""
    locks_url: str = ""
    """Unlike the others: an empty one asks for no store, the locks stand in the database then."""


@dataclass(slots=True, kw_only=True)
class Stores:
    """What is started, and what everybody else then needs to know."""

    data_dir: Path
    given: Given
    cassandra: Programs | None = None
    """What a node for the locks is started with, if there shall be one."""
    servers: list[Server] = field(init=False)

    def __post_init__(self) -> None:
        postgres = [] if self.given.database_url else [Postgres(data_dir=self.data_dir)]
        valkey = [Valkey(data_dir=self.data_dir)] if self._needs_valkey() else []
        cassandra = [Cassandra(data_dir=self.data_dir, programs=self.cassandra)] if self.cassandra else []
        # The slow one first, then the quick one: it gets ready while the other makes its folder.
        self.servers = [*cassandra, *valkey, *postgres]

    def start(self, *, meanwhile: Callable[[], None]) -> Addresses:
        """Start all at once, wait until they answer, and write down where they listen."""
        for server in self.servers:
            server.launch()
        waiting = list(self.servers)
        while waiting := [server for server in waiting if not server.advance()]:
            meanwhile()
        found = self.addresses()
        addresses.write(self.data_dir, found)
        return found

    def addresses(self) -> Addresses:
        """Return all addresses, those that were given among them."""
        urls = {"database_url": self.given.database_url, "broker_url": self.given.broker_url}
        urls["cache_url"] = self.given.cache_url or beside(self.given.broker_url)
        urls["locks_url"] = self.given.locks_url
        for server in self.servers:
            if isinstance(server, Postgres):
                urls["database_url"] = server.url()
            elif isinstance(server, Valkey):
                urls["broker_url"] = urls["broker_url"] or server.url(0)
                urls["cache_url"] = urls["cache_url"] or server.url(1)
            elif isinstance(server, Cassandra):
                urls["locks_url"] = f"cassandra://{server.contact_point}/{LOCKS_KEYSPACE}"
        return Addresses(**urls)

    def stop(self) -> None:
        """Stop all in an orderly way, one after the other: each takes a moment."""
        for server in self.servers:
            server.stop(seconds=2)

    def kill(self) -> None:
        """End all at once."""
        for server in self.servers:
            server.kill()

    def _needs_valkey(self) -> bool:
        return not self.given.broker_url or not (self.given.cache_url or beside(self.given.broker_url))


def beside(broker_url: str) -> str:
    """Return the address of the cache that goes with a broker: the next database of a Redis, nothing of any other."""
    parts = urlsplit(broker_url)
    if parts.scheme not in {"redis", "rediss"}:
        return ""
    number = parts.path.lstrip("/") or "0"
    return urlunsplit(parts._replace(path=f"/{int(number) + 1}")) if number.isdecimal() else ""


@contextlib.contextmanager
def held(data_dir: Path) -> Iterator[None]:
    """Hold the data folder for ourselves; raise `AlreadyRunning` when another runner does."""
    folder.make(data_dir)
    with (data_dir / LOCK).open("a+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise AlreadyRunning(data_dir, lock.read().strip() or "unknown") from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield
