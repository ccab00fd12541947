"""Rings follow the commit, and no caller ever waits for the broker."""

import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import pytest
from django.db import transaction

from apps.jobs import publishing
from apps.jobs import services as jobs
from apps.jobs.conf import config
from apps.jobs.lifecycle import Status
from apps.jobs.models import Job
from apps.jobs.transitions import insert
from tests.support import brokers
from tests.support.environment import environment
from tests.support.factories import TYPE, claim, row, worker
from tests.support.waiting import until

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("echo")]
transactional = pytest.mark.django_db(transaction=True)

PATIENCE_SECONDS = 1.0


@pytest.fixture
def notices(monkeypatch):
    """How often the dispatcher was woken."""
    heard = []
    monkeypatch.setattr(insert, "announce", heard.append)
    return heard


def waiting_for(address, act):
    """Act while the broker is at `address`; return the result and the seconds that the caller waited."""
    with brokers.publishing_to(address) as publisher:
        since = time.monotonic()
        result = act()
        seconds = time.monotonic() - since
        return result, seconds, publisher


def test_a_job_is_rung_for_after_the_commit_and_not_before(rings, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        jobs.enqueue(TYPE, {})
        assert [] == rings

    assert [("default", 1)] == rings


def test_many_jobs_are_rung_for_at_once(rings, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        jobs.enqueue_many(TYPE, [{}] * 50)

    assert [("default", 50)] == rings


@pytest.mark.parametrize(("when", "expected"), [
    ({}, ["ring"]),
    ({"run_at": datetime(2001, 1, 1, tzinfo=UTC)}, ["ring"]),
    ({"delay": timedelta(milliseconds=250)}, ["wake"]),
    ({"delay": timedelta(seconds=60)}, []),
    ({"run_at": datetime(2999, 1, 1, tzinfo=UTC)}, []),
])
def test_what_is_ready_rings_and_what_is_due_soon_wakes_the_dispatcher(
    when, expected, rings, notices, django_capture_on_commit_callbacks,
):
    with django_capture_on_commit_callbacks(execute=True):
        jobs.enqueue(TYPE, {}, **when)

    assert expected == ["ring"] * len(rings) + ["wake"] * len(notices)


@transactional
def test_a_rolled_back_transaction_leaves_neither_row_nor_message(broker):
    class Abandoned(Exception):
        pass

    def begin():
        with transaction.atomic():
            jobs.enqueue(TYPE, {})
            raise Abandoned

    with pytest.raises(Abandoned):
        begin()
    publishing.flush()

    assert not Job.objects.exists()
    assert [] == broker.keys("*")


@transactional
def test_a_committed_job_puts_a_ticket_in_its_queues_line(broker):
    jobs.enqueue(TYPE, {})
    assert publishing.flush()

    assert ["jobs.fetch"] == [ticket["headers"]["task"] for ticket in brokers.tickets(broker, "default")]


@transactional
def test_no_more_than_the_configured_tickets_stand_in_a_line(broker):
    for _ in range(3):
        jobs.enqueue_many(TYPE, [{}] * 200)
    assert publishing.flush()

    assert config().tickets == broker.llen("default")


@transactional
def test_a_crash_between_commit_and_ring_leaves_a_job_that_runs(broker):
    script = """
import os, django
django.setup()
from apps.jobs import publishing, services
publishing.ring = lambda queue, *, count=1: os._exit(9)
services.enqueue("http.request", {"method": "GET", "url": "https://example.org/"})
"""
    ended = subprocess.run([sys.executable, "-c", script], env=environment(), check=False, timeout=60)
    job = Job.objects.get()

    assert 9 == ended.returncode
    assert (Status.QUEUED, []) == (job.status, broker.keys("*"))
    assert str(job.id) == claim(worker(), queue=job.queue, types=["http.request@1"]).id


@transactional
@pytest.mark.parametrize("broken", [brokers.refused, brokers.silent])
def test_enqueueing_does_not_wait_for_a_broker_that_is_away(broken):
    with broken() as address:
        (one, many), seconds, publisher = waiting_for(
            address, lambda: (jobs.enqueue(TYPE, {}), jobs.enqueue_many(TYPE, [{}] * 100)))
        assert Status.QUEUED == row(one).status
        until(lambda: publisher.flush(0.1), message="the publisher gives up")

    assert seconds < PATIENCE_SECONDS
    assert 101 == Job.objects.filter(status=Status.QUEUED, id__in=[one, *many]).count()


@transactional
def test_enqueueing_does_not_wait_for_a_broker_that_falls_silent_later(broker, valkey):
    jobs.enqueue(TYPE, {})
    assert publishing.flush()
    valkey.stall()
    try:
        since = time.monotonic()
        job_id = jobs.enqueue(TYPE, {})
        seconds = time.monotonic() - since
    finally:
        valkey.resume()

    assert seconds < PATIENCE_SECONDS
    assert Status.QUEUED == row(job_id).status
    until(lambda: publishing.flush(0.1), message="the publisher goes on")


@transactional
def test_the_next_ring_after_an_outage_is_heard_again(broker, valkey):
    jobs.enqueue(TYPE, {})
    assert publishing.flush()
    valkey.kill()
    jobs.enqueue(TYPE, {})
    until(lambda: publishing.flush(0.1), message="the publisher gives up")
    valkey.start()
    broker.flushdb()

    def heard():
        jobs.enqueue(TYPE, {})
        publishing.flush()
        return broker.llen("default")

    assert until(heard, message="a ring reaches the broker that came back")
