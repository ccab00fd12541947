"""The programs of `make up`: how each is called, and how one sees that it is ready."""

import functools
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from core.devserver import health, mails, ports, secrets
from core.devserver.addresses import Addresses
from core.devserver.program import Program

NAMES = ("web", "worker", "beat", "flower", "mail")
SETTINGS = "config.settings.local"
CONCURRENCY = 2
ADMIN = "admin"
READER = "you@example.com"   # whom the first mail is for; the local server takes it, and nobody else ever sees it
ROOT_IS_FINE = "ignore:You're running the worker with superuser privileges"   # Celery's word about pickle, which is off


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """One checkout's programs on one machine."""

    root: Path
    data_dir: Path
    addresses: Addresses
    port: int
    flower_port: int
    mail_port: int | None   # None: mail goes to the server of EMAIL_URL
    workers: int

    @property
    def url(self) -> str:
        """Return where the web application is."""
        return f"http://{ports.HOST}:{self.port}"

    @property
    def flower_url(self) -> str:
        """Return where Flower is."""
        return f"http://{ports.HOST}:{self.flower_port}/flower/"

    @property
    def flower_password(self) -> str:
        """Return the password of Flower's own log-in."""
        return secrets.secret(self.data_dir, "flower_password", size=12)

    def programs(self, names: tuple[str, ...]) -> list[Program]:
        """Return what is to run until the end."""
        makers: dict[str, Callable[[], list[Program]]] = {
            "web": lambda: [self.web(links_flower="flower" in names)],
            "worker": lambda: [self.worker(number) for number in range(1, self.workers + 1)],
            "beat": lambda: [self.beat()],
            "flower": lambda: [self.flower()],
            "mail": lambda: [] if self.mail_port is None else [self.mail(self.mail_port)],
        }
        return [program for name in NAMES if name in names for program in makers[name]()]

    def web(self, *, links_flower: bool = False) -> Program:
        command = self._python(
            "-m", "gunicorn", "-c", "python:core.devserver.webserver", f"--bind={ports.HOST}:{self.port}",
            f"--worker-tmp-dir={self.data_dir}", "config.wsgi",
        )
        ready = functools.partial(health.serves, self.port, "/readyz")
        environment = {"FLOWER_URL": self.flower_url} if links_flower else {}
        return self._program("web", command, is_ready=ready, environment=environment)

    def worker(self, number: int) -> Program:
        node = f"worker{number}@{socket.gethostname()}"
        command = self._celery(
            "worker", f"--hostname={node}", f"--concurrency={CONCURRENCY}", "--task-events",
            "--without-mingle", "--without-gossip",   # workers have nothing to tell each other: rows do
        )
        name = "worker" if self.workers == 1 else f"worker{number}"
        return self._program(name, command, is_ready=functools.partial(health.hears, self.addresses.broker_url, node))

    def beat(self) -> Program:
        return self._program("beat", self._celery("beat"))

    def flower(self) -> Program:
        command = self._python(
            "-m", "core.devserver.monitor", "--quiet", "-A", "config",
            "flower", f"--address={ports.HOST}", f"--port={self.flower_port}", "--url_prefix=flower",
            "--read_only=True", "--max_tasks=10000",
        )
        ready = functools.partial(health.serves, self.flower_port, "/flower/healthcheck")
        login = {"FLOWER_BASIC_AUTH": f"{ADMIN}:{self.flower_password}"}   # not on the command line, which all can read
        stop_on = signal.SIGKILL   # it keeps nothing, and asked to end it hangs while it says goodbye to the broker
        return self._program("flower", command, is_ready=ready, environment=login, stop_on=stop_on)

    def mail(self, port: int) -> Program:
        command = self._python(
            "-m", "core.devserver.sink", f"--port={port}", f"--folder={self.data_dir / mails.FOLDER}",
        )
        return self._program("mail", command, is_ready=functools.partial(ports.answers, port))

    def provision(self) -> Program:
        return self._program("migrate", self._python("manage.py", "provision"))

    def lock_tables(self) -> Program:
        """Return what makes the tables of the locks in a store that is not the database: one node, one replica."""
        return self._program("locks", self._python("manage.py", "locks_schema", "--replicas=1"))

    def smoke(self, *, with_mail: bool) -> Program:
        """Return a short real workload; its mail stays on this machine, or is none."""
        mail = () if self.mail_port is None or not with_mail else (f"--mail={READER}",)
        command = self._python("manage.py", "smoke", f"--url={self.url}", f"--token-file={self.data_dir / 'token'}", *mail)
        return self._program("smoke", command)

    def login(self) -> str | None:
        """Return the administrator's password, when it was made here."""
        return secrets.known(self.data_dir, "admin_password")

    def token(self) -> str | None:
        """Return the API token of this checkout."""
        return secrets.known(self.data_dir, "token")

    def _program(
        self,
        name: str,
        command: tuple[str, ...],
        *,
        is_ready: Callable[[], bool] | None = None,
        environment: dict[str, str] | None = None,
        stop_on: int = signal.SIGTERM,
    ) -> Program:
        ours = {
            "DJANGO_SETTINGS_MODULE": SETTINGS,
            "PYTHONPATH": f"{self.root}:{self.root / 'platform'}",   # a bare checkout works without being installed
            "PYTHONUNBUFFERED": "1",
            "PYTHONWARNINGS": ROOT_IS_FINE,
        }
        given = environment or {}
        return Program(name=name, command=command, is_ready=is_ready, environment={**ours, **given}, stop_on=stop_on)

    def _python(self, *arguments: str) -> tuple[str, ...]:
        return (sys.executable, *arguments)

    def _celery(self, *arguments: str) -> tuple[str, ...]:
        return self._python("-m", "celery", "--quiet", "-A", "config", *arguments)


def host_and_path(url: str) -> str:
    """Return an address without user and password, to be shown."""
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port}{parts.path}" if parts.port else f"{parts.hostname}{parts.path}"
