"""A stack of its own to be maltreated: PostgreSQL, Valkey, beat, workers, an application; and what one can ask of it.

Whatever survives a case stays warm for the next one. `ready()` starts what is missing.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

import psycopg

from core.devserver import ports
from core.devserver.postgres import Postgres
from core.devserver.valkey import Valkey
from tests.chaos.processes import Application, Program, Worker
from tests.support import memory
from tests.support.session import FAST
from tests.support.waiting import until

ROOT = Path(__file__).resolve().parents[2]
Truth = TypeVar("Truth")

LEASE_SECONDS = 5
POOL = os.environ.get("CHAOS_POOL", "prefork")   # of workers that no case wants otherwise
QUEUE = "chaos"
READY_SECONDS = 60        # on a busy machine
DATABASE_SECONDS = 30     # until a restarted server answers
FRESH = """
TRUNCATE job, job_attempt, job_stale_write, job_tally, chaos_effect;
DELETE FROM job_queue; DELETE FROM job_worker WHERE ended_at IS NOT NULL"""


class Stack:
    """Everything that the cases share. `jobs` is the number of jobs of a run."""

    def __init__(self, data_dir: Path, *, jobs: int) -> None:
        self.folder, self.jobs = data_dir, jobs
        self.events = data_dir / "events.log"
        self.postgres, self.valkey = Postgres(data_dir=data_dir, settings=FAST), Valkey(data_dir=data_dir)
        self.workers: list[Worker] = []
        self.beat: Program | None = None
        self._number = 0
        self._connection: psycopg.Connection[Any] | None = None
        self._leaving = ExitStack()

    def start(self) -> None:
        for server in (self.postgres, self.valkey):
            server.launch()
        for server in (self.postgres, self.valkey):
            server.wait_ready()
        self.env = self._environment()
        self.application = Application(folder=self.folder, env=self.env)
        migrate = [sys.executable, str(ROOT / "manage.py"), "migrate", "--verbosity=0"]
        subprocess.run(migrate, env=self.env, cwd=self.folder, check=True)
        self.query("CREATE TABLE chaos_effect (number bigserial PRIMARY KEY, job_id uuid NOT NULL, fence bigint NOT NULL)")

    def close(self) -> None:
        for program in [*self.workers, *([self.beat] if self.beat else [])]:
            program.thaw()
            program.kill_group()
        self.application.close()
        self._forget_connection()
        self.postgres.kill()
        self.valkey.kill()
        self._leaving.close()

    # What runs.

    def ready(self, *, workers: int = 2, beat: bool = True, pool: str = POOL, slots: int = 1) -> list[Worker]:
        """Have exactly so many living workers and a beat, and empty tables; the workers."""
        self._mend_servers()
        for worker in list(self.workers):
            if (worker.pool, worker.slots) != (pool, slots) or not worker.alive:
                self._discard(worker)
        while len(self.workers) > workers:
            self._discard(self.workers[-1])
        if self.beat is not None and not (beat and self.beat.alive):
            self.beat.kill_group()
            self.beat = None
        for _ in range(workers - len(self.workers)):
            self._launch_worker(pool=pool, slots=slots)
        if beat and self.beat is None:
            self.beat = self.launch_beat()
        for worker in self.workers:   # also those that have just been ill: they must have recovered
            self.wait_for(worker)
        self.clean()
        return list(self.workers)

    def ready_again(self, *, workers: int = 2, pool: str = POOL, slots: int = 1) -> None:
        """Replace workers that have ended, in the middle of a run."""
        self.workers = [worker for worker in self.workers if worker.alive]
        for worker in [self._launch_worker(pool=pool, slots=slots) for _ in range(workers - len(self.workers))]:
            self.wait_for(worker)

    def add_worker(self, *, pool: str = POOL, slots: int = 1, wait: bool = True) -> Worker:
        """Start one more worker."""
        worker = self._launch_worker(pool=pool, slots=slots)
        if wait:
            self.wait_for(worker)
        return worker

    def launch_beat(self) -> Program:
        self._number += 1
        return Program(f"beat{self._number}", ["beat", "--loglevel=INFO"], folder=self.folder, env=self.env)

    def wait_for(self, worker: Worker) -> None:
        """Wait until a worker has its row, and so claims."""
        ready = f"SELECT id FROM job_worker WHERE name = '{worker.name}@chaos' AND ended_at IS NULL"
        self.until(lambda: self.query(ready) or not worker.alive, timeout=READY_SECONDS, otherwise=f"{worker.name} never got ready")
        assert worker.alive, worker.tail()

    def clean(self) -> None:
        """Empty the tables and the event log; only when nothing runs."""
        self.query("DELETE FROM job WHERE status IN ('queued', 'scheduled', 'retrying')")
        self.until(lambda: self.count("status = 'running'") == 0, otherwise="jobs of the last case still run")
        self.query(FRESH)
        self.events.write_bytes(b"")

    def until(self, condition: Callable[[], Truth], *, otherwise: str, timeout: float = 60.0) -> Truth:
        """Wait for a condition; a failure shows the logs and the rows as they are then, not as they were before."""
        try:
            return until(condition, timeout=timeout, message=otherwise)
        except AssertionError as exc:
            left = self.query("SELECT id::text, type, status, attempt, worker_id::text FROM job WHERE finished_at IS NULL LIMIT 20")
            raise AssertionError(f"{exc}\nunfinished: {left}{self.logs()}") from None

    def logs(self) -> str:
        """Return the end of every program's log, for a failure's message."""
        return "\n".join(["", *(each.tail() for each in (*self.workers, *([self.beat] if self.beat else [])))])

    # What is stored.

    def query(self, sql: str, params: Sequence[Any] | Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """Ask the database, which may have been restarted since; only idempotent statements."""
        give_up = time.monotonic() + DATABASE_SECONDS
        while True:
            try:
                if self._connection is None:
                    self._connection = self.postgres.connect()
                cursor = self._connection.execute(sql, params)
                return cursor.fetchall() if cursor.description else []
            except psycopg.OperationalError:
                self._forget_connection()
                if time.monotonic() > give_up:
                    raise
                time.sleep(0.05)

    def count(self, condition: str) -> int:
        return int(self.query(f"SELECT count(*) FROM job WHERE {condition}")[0][0])

    def fill(self, count: int, *, seconds_ago: float, priority: int = 9) -> None:
        """Store that many jobs that have waited for so long, without ringing."""
        self.query(
            """
            INSERT INTO job (id, type, queue, priority, status, attempt, max_attempts, failures, rescues, timeout_seconds,
              run_at, created_at, tags, payload, payload_version, request_id)
            SELECT gen_random_uuid(), 'chaos.work', 'chaos', %(priority)s, 'queued', 0, 5, 0, 0, 60,
              clock_timestamp() - %(ago)s * interval '1 s', clock_timestamp(), '{}', '{}', 1, ''
            FROM generate_series(1, %(count)s)""",
            {"count": count, "ago": seconds_ago, "priority": priority},
        )

    def messages(self) -> int:
        """Return how many messages stand in all lines of the broker, and are delivered and not acknowledged."""
        with self.valkey.client() as client:
            lines = [key for key in client.keys("*") if client.type(key) == b"list"]
            return int(sum(client.llen(key) for key in lines) + client.hlen("unacked"))

    def _forget_connection(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _launch_worker(self, *, pool: str, slots: int) -> Worker:
        self._number += 1
        worker = Worker(f"{pool}{self._number}", pool=pool, slots=slots, folder=self.folder, env=self.env)
        self.workers.append(worker)
        return worker

    def _discard(self, worker: Worker) -> None:
        self.workers.remove(worker)
        worker.thaw()
        if worker.alive:
            worker.ask_to_stop()
            worker.ended()

    def _mend_servers(self) -> None:
        for server in (self.postgres, self.valkey):
            server.resume()
            if not server.running:
                server.start()

    def _environment(self) -> dict[str, str]:
        ours = {
            "DJANGO_SETTINGS_MODULE": "config.settings.test",
            "DATABASE_URL": self.postgres.url(),
            "BROKER_URL": self.valkey.url(0),
            "CACHE_URL": self.valkey.url(1),
            "DATA_DIR": str(self.folder),
            "JOB_MODULES": "tests.chaos.handlers",
            "JOBS_LEASE_SECONDS": str(LEASE_SECONDS),
            "JOBS_STOP_GRACE_SECONDS": "8",
            "JOBS_METRICS_PORT": str(ports.unused()),
            "JOBS_SHELF_DIR": str(self._leaving.enter_context(memory.folder())),
            "CHAOS_LOG": str(self.events),
            "PYTHONPATH": f"{ROOT}:{ROOT / 'platform'}",
            "PYTHONUNBUFFERED": "1",
            "PYTHONWARNINGS": "ignore:You're running the worker with superuser privileges",
        }
        files = {f"{name}_FILE" for name in ours}
        return {**{name: value for name, value in os.environ.items() if name not in files}, **ours}
