"""The two systems, as the measurements see them. Import it once the stage is built: it needs Django and the broker."""

import abc
import base64
import random
import sys
import time
from collections.abc import Iterable
from datetime import timedelta
from typing import ClassVar

from celery import group
from django.db import connection

from apps.jobs import publishing
from apps.jobs import services as jobs
from bench import handler, plain
from bench.options import Layout
from bench.stage import Stage

TABLES = "job, job_attempt, job_stale_write, job_tally, job_worker"
BACKLOG = """
INSERT INTO job (id, type, queue, priority, status, attempt, max_attempts, failures, rescues, timeout_seconds, run_at,
  created_at, tags, payload, payload_version, request_id)
SELECT gen_random_uuid(), %s, %s, 9, 'queued', 0, 5, 0, 0, 300, clock_timestamp(), clock_timestamp(), '{}',
  '{"number": 0, "enqueued": 0}', 1, '' FROM generate_series(1, %s)"""
# Whether nothing is left but those that wait behind. By the hot indexes: a look at a million rows takes both processors
# from what is measured for a quarter of a second.
FINISHED = """
SELECT NOT EXISTS (SELECT FROM job WHERE status = 'queued' AND queue = %s AND NOT behind AND priority < 9)
  AND NOT EXISTS (SELECT FROM job WHERE status = 'running' AND priority < 9)
  AND NOT EXISTS (SELECT FROM job WHERE status IN ('scheduled', 'retrying') AND priority < 9)"""
Item = tuple[int, float, float]   # number, moment of enqueueing, length in ms


class System(abc.ABC):
    name: ClassVar[str]
    application: ClassVar[str]

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.padding = ""   # goes along with each job

    @abc.abstractmethod
    def enqueue(self, item: Item, *, delay: float = 0) -> None:
        """Put one job, as a web request would."""

    @abc.abstractmethod
    def enqueue_many(self, items: Iterable[Item]) -> None:
        """Put many by one call."""

    def flush(self) -> None:  # noqa: B027  one of the two has nothing to wait for
        """Wait until what was put has reached the servers."""

    def finished(self) -> bool:
        """Whether the system itself knows that nothing is left."""
        return True

    def purge(self) -> None:
        """Forget everything; no worker may run."""
        with connection.cursor() as cursor:
            cursor.execute(f"TRUNCATE {TABLES}")
        with self.stage.valkey.client() as client:
            client.flushdb()
        self.stage.stamps.clear()

    def commands(self, layout: Layout, *, pool: str) -> list[tuple[str, ...]]:
        """Return the command lines of the workers: the same for both systems, except the application's name."""
        return [
            (
                sys.executable, "-m", "celery", "--quiet", "-A", self.application, "worker", "-l", "WARNING",
                "-c", str(layout.slots), "-P", pool, "-n", f"{self.name}{number}@%h",
            )
            for number in range(layout.workers)
        ]


class Latchwork(System):
    name = "latchwork"
    application = "config"
    type_name = handler.NAME

    def enqueue(self, item: Item, *, delay: float = 0) -> None:
        options = {"delay": timedelta(seconds=delay)} if delay else {}
        jobs.enqueue(self.type_name, self._payload(item), **options)

    def enqueue_many(self, items: Iterable[Item]) -> None:
        jobs.enqueue_many(self.type_name, [self._payload(item) for item in items])

    def flush(self) -> None:
        publishing.flush(10)

    def finished(self) -> bool:
        with connection.cursor() as cursor:
            cursor.execute(FINISHED, [handler.QUEUE])
            return bool(cursor.fetchone()[0])

    def _payload(self, item: Item) -> dict[str, object]:
        payload: dict[str, object] = {"number": item[0], "enqueued": item[1], "length_ms": item[2]}
        return {**payload, "padding": self.padding} if self.padding else payload

    def wait_behind(self, count: int) -> None:
        """Let so many jobs wait behind those that are measured."""
        with connection.cursor() as cursor:
            cursor.execute(BACKLOG, [self.type_name, handler.QUEUE, count])
            cursor.execute("VACUUM (ANALYZE) job")   # else autovacuum begins with it amid the measurement


class Alone(Latchwork):
    """One job in each hand-over."""

    type_name = handler.ALONE


class Plain(System):
    name = "celery"
    application = "bench.plain"

    def enqueue(self, item: Item, *, delay: float = 0) -> None:
        if delay:
            plain.run.apply_async(self._arguments(item), countdown=delay)
        else:
            plain.run.delay(*self._arguments(item))

    def enqueue_many(self, items: Iterable[Item]) -> None:
        group(plain.run.s(*self._arguments(item)) for item in items).apply_async()

    def _arguments(self, item: Item) -> tuple[object, ...]:
        return (*item, self.padding) if self.padding else item


def numbered(count: int, *, first: int = 0, length_ms: float = 0) -> list[Item]:
    """Return that many items, enqueued now."""
    now = time.time()
    return [(number, now, length_ms) for number in range(first, first + count)]


def padding(size: int) -> str:
    """Return so many characters that compress badly."""
    return base64.b64encode(random.Random(7).randbytes(size)).decode()[:size]
