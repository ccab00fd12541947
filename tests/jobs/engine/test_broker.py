"""The broker goes away under a worker: what is claimed stays claimed, and ends."""

import pytest

from apps.jobs.lifecycle import Status
from apps.jobs.models import Job
from apps.jobs.publishing import bell
from config.celery import app
from tests.jobs.engine.conftest import ended
from tests.support.waiting import until


@pytest.fixture
def broker():
    opened = bell.connection(app)
    yield opened.default_channel.client
    bell.close(opened)


def hang_up(broker):
    """End every other connection to the broker, as its restart does."""
    broker.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    broker.execute_command("CLIENT", "KILL", "TYPE", "pubsub", "SKIPME", "yes")


def test_claimed_jobs_outlive_lost_connections_to_the_broker(worker, enqueue, desk, broker):
    before = worker.id()
    running = [enqueue(worker, "wait", value=number, desk=desk) for number in range(2)]
    [until(lambda each=each: desk.began(each), timeout=30) for each in running]
    waiting = [enqueue(worker, seconds=0.005) for _ in range(50)]
    for _ in range(3):
        hang_up(broker)
        until(lambda: len(broker.client_list()) > 1, timeout=30, message="nobody connected again")
    desk.go()
    rows = ended(*running, *waiting)

    assert [(Status.COMPLETED, 1)] * 52 == [(row.status, row.attempt) for row in rows]
    assert before == worker.id()


def test_connections_lost_in_the_middle_of_short_jobs_lose_and_charge_none(worker, enqueue, broker):
    jobs = [enqueue(worker, "effect", seconds=0.01) for _ in range(300)]
    for share in (50, 100, 200):
        until(lambda share=share: Job.objects.filter(status=Status.COMPLETED).count() >= share, timeout=60)
        hang_up(broker)
    rows = ended(*jobs)

    assert {(Status.COMPLETED, 1, 0)} == {(row.status, row.attempt, row.rescues) for row in rows}


def test_a_flushed_broker_costs_no_job(worker, enqueue, broker):
    jobs = [enqueue(worker, seconds=0.005) for _ in range(200)]
    broker.flushall()
    rows = ended(*jobs)

    assert {(Status.COMPLETED, 1)} == {(row.status, row.attempt) for row in rows}
