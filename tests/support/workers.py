"""Real `celery -A config worker` processes on the session's services, to be stopped, killed and frozen.

Each serves a queue of its own, so that workers of several tests stand beside each other, and writes its log to a file
below the session's DATA_DIR. They die with the test process, however that dies.
"""

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil

from core.devserver import child
from tests.support.environment import environment
from tests.support.factories import own_connection
from tests.support.waiting import until

ROOT = Path(__file__).resolve().parents[2]
SCRIPTED = "tests.support.scripted"   # not imported here: that would register its types in the test's own process
START_SECONDS, STOP_SECONDS = 60.0, 60.0   # bounds on waiting, on a machine that others load
_numbers = itertools.count(1)


class Worker:
    """One worker. Start it from the main thread; `queues=None` starts it without -Q, so that it serves every queue."""

    def __init__(
        self, *, pool: str = "prefork", slots: int = 2, queues: Sequence[str] | None = (), lease_seconds: float = 5.0,
        modules: Sequence[str] = (SCRIPTED,), options: Sequence[str] = (), **env: str,
    ) -> None:
        self.name = f"w{os.getpid()}-{next(_numbers)}"
        self.queues = [self.name] if queues == () else queues
        self.lease_seconds = lease_seconds
        self.log = Path(os.environ["DATA_DIR"]) / f"{self.name}.log"
        served = ["-Q", ",".join(self.queues)] if self.queues else []
        self.command = [
            sys.executable, "-m", "celery", "-A", "config", "worker", "-n", f"{self.name}@test", "-P", pool,
            "-c", str(slots), *served, *options,
        ]
        self.env = {
            "JOB_MODULES": ",".join(modules), "JOBS_LEASE_SECONDS": f"{lease_seconds:g}", "LOG_FORMAT": "json",
            "JOBS_SHELF_DIR": str(self.log.with_suffix(".shelf")),   # its own: what it leaves is no other test's
            "PYTHONPATH": str(ROOT), **env,
        }
        Path(self.env["JOBS_SHELF_DIR"]).mkdir(exist_ok=True)
        self.process: subprocess.Popen[bytes] | None = None
        self._frozen: list[psutil.Process] = []

    @property
    def queue(self) -> str:
        """Its queue, when it serves one."""
        assert self.queues is not None
        (only,) = self.queues
        return only

    # Its life.

    def launch(self) -> "Worker":
        """Start it without waiting."""
        with self.log.open("ab") as log:
            self.process = child.start(self.command, cwd=self.log.parent, env=environment(**self.env), output=log)
        return self

    def start(self) -> "Worker":
        """Start it and wait until it says in its row that it serves."""
        self.launch()
        return self.wait_ready()

    def wait_ready(self) -> "Worker":
        until(self._is_ready, timeout=START_SECONDS, message=f"{self.name} did not start")
        return self

    def _is_ready(self) -> bool:
        assert self.poll() is None, f"{self.name} ended with {self.poll()} while starting:\n{self.tail()}"
        return self.row() is not None

    def send(self, number: int) -> None:
        """Send its main process a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def wait(self, seconds: float = STOP_SECONDS) -> int:
        """Wait for its end, and return its status."""
        assert self.process is not None
        return self.process.wait(seconds)

    def poll(self) -> int | None:
        """Return the status that it ended with; None while it lives or was not started."""
        return None if self.process is None else self.process.poll()

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Ask it to stop and wait for that."""
        self.send(number)
        return self.wait()

    def kill(self) -> None:
        """End its main process at once; its children die with it."""
        self.send(signal.SIGKILL)
        self.wait()

    def kill_group(self) -> None:
        """End all of it at once, whatever became of it before, and wait until nothing of it is left."""
        if self.process is None:
            return
        tree = self._tree()
        for process in tree:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait(STOP_SECONDS)
        psutil.wait_procs(tree, timeout=STOP_SECONDS)

    def freeze(self) -> None:
        """Stop all of its processes where they stand."""
        self._frozen = self._tree()
        for process in self._frozen:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.suspend()

    def thaw(self) -> None:
        """Let them go on."""
        for process in reversed(self._frozen):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()
        self._frozen = []

    # What can be seen of it.

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def children(self) -> list[int]:
        """Return the pids of its pool's processes."""
        try:
            return [process.pid for process in psutil.Process(self.pid).children()]
        except psutil.NoSuchProcess:
            return []

    def row(self) -> dict[str, Any] | None:
        """Return its row while it has one that has not ended: id, queues, pool, slots, metrics_port, stopping_at."""
        columns = ("id", "queues", "pool", "slots", "types", "metrics_port", "stopping_at", "lease_until")
        with own_connection("looking") as connection:
            found = connection.execute(
                f"SELECT {', '.join(columns)} FROM job_worker WHERE name = %s AND pid = %s AND ended_at IS NULL",
                [f"{self.name}@test", self.pid],
            ).fetchone()
        return dict(zip(columns, found, strict=True)) if found else None

    def id(self) -> uuid.UUID:
        """Return the id of its living row."""
        row = self.row()
        assert row is not None, f"{self.name} has no living row:\n{self.tail()}"
        found: uuid.UUID = row["id"]
        return found

    def tail(self, lines: int = 30) -> str:
        """Return the end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log.exists() else ""

    def lines(self) -> list[str]:
        """Return its log's lines."""
        return self.log.read_text(errors="replace").splitlines()

    def events(self, name: str = "", **fields: Any) -> list[dict[str, Any]]:
        """Return what it logged as JSON, of one event and with these fields when they are given."""
        found = []
        for line in self.lines():
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if isinstance(event, dict) and (not name or event.get("event") == name):
                found.append(event)
        return [event for event in found if fields.items() <= event.items()]

    def _tree(self) -> list[psutil.Process]:
        try:
            main = psutil.Process(self.pid)
            return [main, *main.children(recursive=True)]   # main first: stopped, it makes no more
        except psutil.NoSuchProcess:
            return []


class Fleet:
    """Starts workers, and leaves none behind."""

    def __init__(self) -> None:
        self.workers: list[Worker] = []

    def add(self, **options: Any) -> Worker:
        """Make a worker without starting it."""
        self.workers.append(Worker(**options))
        return self.workers[-1]

    def start(self, **options: Any) -> Worker:
        """Start a worker and wait until it serves."""
        return self.add(**options).start()

    def close(self) -> None:
        for worker in self.workers:
            worker.thaw()
            worker.kill_group()


@contextlib.contextmanager
def fleet() -> Iterator[Fleet]:
    """Lend a fleet; all of it has ended afterwards."""
    made = Fleet()
    try:
        yield made
    finally:
        made.close()
