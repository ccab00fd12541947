"""Cancellation: at once while it waits, soon when the handler asks, by force after the grace, and never too late."""

import os
import signal
import time
from datetime import timedelta

import pytest

from apps.jobs import services as jobs
from apps.jobs.errors import NotAllowedNow
from apps.jobs.lifecycle import Status
from apps.jobs.models import Job
from tests.jobs.engine.conftest import ended, in_status, known
from tests.jobs.engine.test_endings import history
from tests.support import factories
from tests.support.waiting import until

COOPERATIVE_SECONDS = 3 * 1.0   # the stated bound, and that a busy machine may take three times as long
HARD_SECONDS = 3 * 7.0


@pytest.mark.parametrize("options", [{}, {"delay": timedelta(hours=1)}])
def test_a_waiting_job_is_cancelled_at_once_and_never_starts(prefork, enqueue, desk, options):
    known(prefork.queue)
    jobs.pause(prefork.queue)
    waiting = enqueue(prefork, desk=desk, **options)
    jobs.cancel(waiting)
    status = factories.row(waiting).status
    jobs.resume(prefork.queue)
    ended(enqueue(prefork))

    assert Status.CANCELLED == status
    assert 0 == desk.began(waiting)


def test_a_running_handler_that_checks_is_cancelled_soon(worker, enqueue, desk):
    job_id = enqueue(worker, "wait_checking", desk=desk)
    until(lambda: desk.began(job_id), timeout=30)
    since = time.monotonic()
    jobs.cancel(job_id)
    (row,) = ended(job_id)

    assert time.monotonic() - since < COOPERATIVE_SECONDS
    assert (Status.CANCELLED, ["cancelled"], 0) == (row.status, history(job_id), row.failures)


def test_a_running_process_that_never_checks_is_ended_after_the_grace(prefork, enqueue, desk):
    job_id = enqueue(prefork, "wait", desk=desk)
    pid = until(lambda: desk.began(job_id), timeout=30)
    since = time.monotonic()
    jobs.cancel(job_id)
    (row,) = ended(job_id)

    assert time.monotonic() - since < HARD_SECONDS
    assert (Status.CANCELLED, ["cancelled"], 0, 0) == (row.status, history(job_id), row.failures, row.rescues)
    until(lambda: pid not in prefork.children(), timeout=30, message="the process goes on")


def test_a_thread_that_never_checks_is_cancelled_when_it_returns_unless_it_has_done_its_work(threads, enqueue, desk):
    job_id = enqueue(threads, "wait", value="done", desk=desk)
    until(lambda: desk.began(job_id), timeout=30)
    jobs.cancel(job_id)
    desk.go()
    (row,) = ended(job_id)

    assert (Status.COMPLETED, "done") == (row.status, row.result)


def test_a_handler_that_returned_first_stays_completed(prefork, enqueue):
    (row,) = ended(enqueue(prefork, value="done"))
    with pytest.raises(NotAllowedNow) as refusal:
        jobs.cancel(row.id)

    assert "is completed" in str(refusal.value)
    assert Status.COMPLETED == factories.row(row.id).status


def test_a_failing_attempt_of_a_job_that_is_to_be_cancelled_is_the_last(worker, enqueue, desk):
    job_id = enqueue(worker, "wait_then_raise", desk=desk, max_attempts=5)
    until(lambda: desk.began(job_id), timeout=30)
    jobs.cancel(job_id)
    desk.go()
    (row,) = ended(job_id)

    assert (Status.CANCELLED, 1) == (row.status, row.attempt)


def test_a_cancellation_while_its_process_dies_is_a_cancellation(prefork, enqueue, desk):
    job_id = enqueue(prefork, "wait", desk=desk)
    pid = until(lambda: desk.began(job_id), timeout=30)
    jobs.cancel(job_id)
    os.kill(pid, signal.SIGKILL)
    (row,) = ended(job_id)

    assert (Status.CANCELLED, 1) == (row.status, row.attempt)


def test_a_cancellation_while_its_worker_dies_is_a_cancellation(prefork, workers, enqueue, desk):
    victim = workers.start(slots=1, lease_seconds=2)
    job_id = enqueue(victim, "wait", desk=desk)
    until(lambda: desk.began(job_id), timeout=30)
    jobs.cancel(job_id)
    victim.kill_group()   # the understudy of the other worker rescues what it held

    row = in_status(job_id, Status.CANCELLED)
    assert 1 == row.attempt


def test_a_job_that_lies_claimed_in_the_stock_is_cancelled_without_starting(workers, enqueue, desk):
    worker = workers.start(slots=1)
    ended(*[enqueue(worker, seconds=0.001) for _ in range(30)])   # so that it knows its jobs as short, and claims ahead
    block = enqueue(worker, "wait", desk=desk, priority=0)
    stock = [enqueue(worker, desk=desk) for _ in range(30)]
    until(lambda: desk.began(block), timeout=30)
    claimed = Job.objects.filter(id__in=stock, status=Status.RUNNING).values_list("id", flat=True).first()
    if claimed:
        jobs.cancel(claimed)
        in_status(claimed, Status.CANCELLED)
    desk.go()
    ended(block, *stock)

    assert claimed is None or 0 == desk.began(claimed)
