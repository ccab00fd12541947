"""`celery -A config beat` as a process: what it survives, how it stops, what it leaves behind."""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
import redis
from django.conf import settings
from django.db import connection
from django.db.utils import Error
from django_celery_beat.models import IntervalSchedule, PeriodicTask, PeriodicTasks

from apps.jobs.lifecycle import Status
from apps.jobs.models import Duty, Job
from apps.jobs.transitions import presence
from tests.support.environment import environment
from tests.support.factories import job_in, row
from tests.support.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)
LONG_AGO = datetime(2001, 1, 1, tzinfo=UTC)


@contextmanager
def started(tmp_path, address=None):
    """Start a real beat in an empty folder."""
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "celery", "-A", "config", "beat", "-l", "INFO"],
            cwd=_empty(tmp_path), env={**(address or environment()), "PYTHONPATH": os.pathsep.join(sys.path)}, stdout=log, stderr=log,
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()
            sys.stdout.write((tmp_path / "log").read_text())


@pytest.fixture
def beat(tmp_path):
    """A real beat that has signed life."""
    Duty.objects.all().delete()
    with started(tmp_path) as process:
        until(_signs, timeout=30, message="beat did not sign life")
        yield process


def _empty(tmp_path):
    folder = tmp_path / "here"
    folder.mkdir()
    return folder


def _signs():
    """Whether a beat has signed within the last two seconds, also when the database is not there."""
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT true FROM job_duty WHERE name = %s AND done_at > clock_timestamp() - interval '2 s'",
                [presence.DISPATCH],
            )
            return cursor.fetchone() is not None
    except Error:
        connection.close()
        return False


def overdue():
    job_id = job_in(Status.SCHEDULED)
    Job.objects.filter(id=job_id).update(run_at=LONG_AGO)
    return job_id


def moved(job_id):
    return row(job_id).status == Status.QUEUED


def moves_and_signs_again():
    job_id, signed = overdue(), Duty.objects.get(name=presence.DISPATCH).done_at
    until(lambda: moved(job_id), timeout=2, message="the dispatcher waits for the broker")
    until(lambda: Duty.objects.get(name=presence.DISPATCH).done_at > signed, timeout=3)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_when_told_and_leaves_no_file(beat, tmp_path, number):
    told = time.monotonic()
    beat.send_signal(number)

    assert 0 == beat.wait(10)
    assert time.monotonic() - told < 5   # the wait of a tick is no reason to be late; the end of Python takes its time
    assert [] == list((tmp_path / "here").iterdir())


@pytest.mark.chaos
def test_it_survives_a_crash_of_the_database(beat, postgres):
    postgres.kill()
    postgres.start()
    connection.close()
    job_id = overdue()

    until(lambda: moved(job_id), timeout=20)
    assert beat.poll() is None


@pytest.mark.chaos
def test_it_starts_before_the_database_and_before_the_broker(postgres, valkey, tmp_path):
    Duty.objects.all().delete()
    connection.close()
    address = environment()
    postgres.kill()
    valkey.kill()
    with started(tmp_path, address) as process:
        until(lambda: b"dispatcher.lost" in (tmp_path / "log").read_bytes(), timeout=30)
        postgres.start()
        until(_signs, timeout=20)
        valkey.start()

        assert process.poll() is None


@pytest.mark.chaos
def test_it_survives_a_database_that_stands_still_and_stops_even_then(beat, postgres):
    postgres.stall()
    beat.send_signal(signal.SIGTERM)

    assert 0 == beat.wait(10)


@pytest.mark.chaos
def test_a_silent_broker_delays_no_job(beat, valkey):
    every_second, _ = IntervalSchedule.objects.get_or_create(every=1, period="seconds")
    PeriodicTask.objects.create(name="often", task="plain.task", interval=every_second)
    PeriodicTasks.update_changed()
    with redis.Redis.from_url(settings.CELERY_BROKER_URL) as broker:
        until(lambda: broker.llen("default") or any(broker.llen(key) for key in broker.keys("default*")), timeout=20)
        valkey.stall()
        for _ in range(4):   # longer than any single wait for the broker
            moves_and_signs_again()
        valkey.resume()
        fired = PeriodicTask.objects.get().total_run_count
        until(lambda: PeriodicTask.objects.get().total_run_count > fired, timeout=30)

    assert beat.poll() is None
