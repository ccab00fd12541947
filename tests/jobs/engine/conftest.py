"""Warm workers that the tests of this folder share, each with its own queue, and a clean table for each test."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.db import connection

from apps.jobs import registry
from apps.jobs import services as jobs
from apps.jobs.conf import Config
from apps.jobs.engine.board import Board
from apps.jobs.engine.ledger import Ledger
from apps.jobs.lifecycle import FINISHED, Status
from apps.jobs.models import Job
from apps.jobs.transitions.presence import Start
from core import clock
from core.ids import uuid7
from tests.support import effects, factories
from tests.support.desk import Desk
from tests.support.waiting import until
from tests.support.workers import Fleet, Worker, fleet

TABLES = ("job", "job_attempt", "job_stale_write", "job_tally", "job_queue", "job_artifact", "job_loose_file",
          "scripted_effect")   # fmt: skip
LEDGER_QUEUE, LEDGER_LEASE_SECONDS = "ledger", 30.0
ENDING_SECONDS = 60.0   # a bound on waiting, on a machine that others load


# The audit lets nobody delete, so its guard is taken off for a moment.
FORGET = "TRUNCATE job_worker, job_duty;" + "".join(f"""
ALTER TABLE {table} DISABLE TRIGGER {table}_stays;
DELETE FROM {table};
ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_stays;""" for table in ("audit_entry", "audit_link"))


@pytest.fixture(scope="package")
def _nothing_left(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """Leave other tests no row of a worker, of which some were killed and live on in theirs, and none of the audit."""
    yield
    with django_db_blocker.unblock():
        with connection.cursor() as cursor:
            cursor.execute(FORGET)
        connection.close()


@pytest.fixture(scope="package")
def _warm(_nothing_left: None) -> Iterator[Fleet]:
    with fleet() as made:
        yield made


@pytest.fixture(scope="package")
def warm_prefork(_warm: Fleet, django_db_blocker: Any) -> Worker:
    with django_db_blocker.unblock():
        return _warm.start(pool="prefork")


@pytest.fixture(scope="package")
def warm_threads(_warm: Fleet, django_db_blocker: Any) -> Worker:
    with django_db_blocker.unblock():
        return _warm.start(pool="threads")


@pytest.fixture
def db(_nothing_left: None, django_db_blocker: Any) -> Iterator[None]:
    """Committed rows, without those of other tests; the rows of living workers stay, which a flush would take.

    It has the name of pytest-django's fixture, so that pytest-django makes the test database and orders these tests.
    """
    with django_db_blocker.unblock(), scripted_types():
        with connection.cursor() as cursor:
            cursor.execute(effects.TABLE)
        _clean()
        yield
        _clean()
        connection.close()


def _clean() -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {', '.join(TABLES)}")


@contextmanager
def scripted_types() -> Iterator[None]:
    """Make the scripted types known in this process for a while: enqueueing looks there."""
    before = dict(registry._types)
    from tests.support import locked, scripted

    registry._types.update({each.name: each for each in (*scripted.TYPES, *locked.TYPES)})
    try:
        yield
    finally:
        registry._types.clear()
        registry._types.update(before)


@pytest.fixture
def prefork(db: None, warm_prefork: Worker) -> Worker:
    """A worker of two processes that is running already."""
    return warm_prefork


@pytest.fixture
def threads(db: None, warm_threads: Worker) -> Worker:
    """A worker of two threads that is running already."""
    return warm_threads


@pytest.fixture(params=["prefork", "threads"])
def worker(request: pytest.FixtureRequest, db: None) -> Worker:   # db: known before, so that the database is made
    """Each kind of worker, running already."""
    found: Worker = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def workers(db: None) -> Iterator[Fleet]:
    """Workers of the test's own."""
    with fleet() as made:
        yield made


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Where handlers wait for this test."""
    return Desk(tmp_path)


@pytest.fixture
def enqueue() -> Callable[..., UUID]:
    """Enqueue a script for a worker, through the services; `options` are those of `services.enqueue`."""

    def place(worker: Worker, do: str = "give", *, type_name: str = "scripted.run", **more: Any) -> UUID:
        script = {name: more.pop(name) for name in ("value", "seconds", "desk", "until_attempt", "script") if name in more}
        if "desk" in script:
            script["desk"] = str(script["desk"].folder)
        queue = more.pop("queue", None) or worker.queue
        known(queue)
        return jobs.enqueue(type_name, {"do": do, **script}, queue=queue, **more)

    return place


def known(queue: str) -> None:
    """Give a queue its row, so that the services know it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO job_queue (name, paused_by, paused_reason) VALUES (%s, '', '') ON CONFLICT DO NOTHING", [queue],
        )


def ended(*job_ids: UUID, timeout: float = ENDING_SECONDS) -> list[Job]:
    """Wait until jobs have finished, and return their rows in this order."""
    until(
        lambda: Job.objects.filter(id__in=job_ids, status__in=FINISHED).count() == len(job_ids),
        timeout=timeout, message="the jobs did not end",
    )
    return [factories.row(job_id) for job_id in job_ids]


def in_status(job_id: UUID, *statuses: Status, timeout: float = ENDING_SECONDS) -> Job:
    """Wait until a job stands in one of these statuses, and return its row."""
    until(
        lambda: factories.row(job_id).status in statuses, timeout=timeout,
        message=f"the job never was {' or '.join(statuses)}",
    )
    return factories.row(job_id)


@pytest.fixture
def board() -> Board:
    """Return a board whose lease is good for a minute."""
    made = Board()
    made.trust_until(clock.elapsed() + 60)
    return made


@pytest.fixture
def ledger(db: None) -> Iterator[Ledger]:
    """A ledger that has not started its thread: a test takes its turns itself."""
    made = Ledger(Config(lease_seconds=LEDGER_LEASE_SECONDS), Board())
    made.started = Start(
        id=uuid7(), name="ledger@test", host="test", pid=1, pool="prefork", slots=1, queues=[LEDGER_QUEUE],
        types=json.dumps({"scripted.run": 1}), code_version="", metrics_port=None,
    )
    yield made
    if made.thread is not None:
        made.close()
        made.thread.join(30)
    made._drop_connection()
