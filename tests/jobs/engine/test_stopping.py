"""Stops: what runs may end, what has not begun goes back, nothing stays held, and nobody is charged."""

import signal
import time

import pytest

from apps.jobs.lifecycle import Status
from apps.jobs.models import Job, Worker
from tests.jobs.engine.conftest import ended
from tests.jobs.engine.test_endings import history
from tests.support import factories
from tests.support.waiting import until

AFTER_THE_LAST_HANDLER_SECONDS = 3 * 3.0   # the stated bound, and that a busy machine may take three times as long


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_a_warm_stop_under_load_ends_soon_and_charges_nobody(workers, enqueue, pool):
    worker = workers.start(pool=pool, slots=2)
    short = [enqueue(worker, seconds=0.001) for _ in range(100)]   # so that it claims ahead
    ended(*short)
    long = [enqueue(worker, seconds=1.0) for _ in range(40)]
    until(lambda: Job.objects.filter(id__in=long, status=Status.COMPLETED).exists(), timeout=30)
    worker.send(signal.SIGTERM)
    since = time.monotonic()
    status = worker.wait()
    took = time.monotonic() - since

    assert 0 == status
    assert took < 1.0 + AFTER_THE_LAST_HANDLER_SECONDS
    rows = list(Job.objects.filter(id__in=long))
    assert {Status.COMPLETED, Status.QUEUED} == {row.status for row in rows}
    assert {(Status.COMPLETED, 1), (Status.QUEUED, 0)} == {(row.status, row.attempt) for row in rows}
    assert {(0, 0)} == {(row.failures, row.rescues) for row in rows}


def test_a_stopped_worker_says_so_in_its_row(workers, enqueue):
    worker = workers.start()
    worker_id = worker.id()
    worker.stop()

    row = Worker.objects.get(id=worker_id)
    assert "stopped" == row.end_reason
    assert None not in {row.stopping_at, row.ended_at}


def test_what_a_stopped_worker_left_is_run_by_the_next(workers, enqueue):
    first = workers.start(slots=1)
    jobs = [enqueue(first, seconds=0.2) for _ in range(10)]
    until(lambda: Job.objects.filter(id__in=jobs, status=Status.COMPLETED).exists(), timeout=30)
    first.stop()
    workers.start(slots=1, queues=[first.queue])
    rows = ended(*jobs)

    assert [(Status.COMPLETED, 1)] * 10 == [(row.status, row.attempt) for row in rows]


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_a_warm_stop_whose_grace_runs_out_gives_the_handlers_job_back(workers, enqueue, desk, pool):
    worker = workers.start(pool=pool, slots=1, JOBS_STOP_GRACE_SECONDS="1")
    job_id = enqueue(worker, "wait_checking" if pool == "threads" else "wait", desk=desk, max_attempts=1)
    until(lambda: desk.began(job_id), timeout=30)
    worker.send(signal.SIGTERM)
    row_is_back = until(lambda: factories.row(job_id).status != Status.RUNNING, timeout=30)
    desk.go()
    worker.wait()

    assert row_is_back
    row = factories.row(job_id)
    assert (Status.QUEUED, 0, 0) == (row.status, row.failures, row.rescues)
    assert ["stopped"] == history(job_id)


def test_a_cold_stop_gives_everything_back_at_once(workers, enqueue, desk):
    worker = workers.start(slots=2)
    running = [enqueue(worker, "wait", desk=desk, max_attempts=1) for _ in range(2)]
    pids = [until(lambda each=each: desk.began(each), timeout=30) for each in running]
    waiting = [enqueue(worker) for _ in range(5)]
    worker.send(signal.SIGQUIT)
    worker.wait(30)
    begun, others = [factories.row(each) for each in running], [factories.row(each) for each in waiting]

    assert [(Status.QUEUED, 0)] * 2 == [(row.status, row.failures) for row in begun]
    assert [["stopped"]] * 2 == [history(each) for each in running]
    assert [(Status.QUEUED, 0)] * 5 == [(row.status, row.attempt) for row in others]
    assert [] == [pid for pid in pids if _lives(pid)]


def test_the_children_of_a_killed_worker_die_with_it(workers, enqueue, desk):
    worker = workers.start(slots=2)
    job_id = enqueue(worker, "wait", desk=desk)
    until(lambda: desk.began(job_id), timeout=30)
    children = worker.children()
    worker.kill()

    until(lambda: not any(map(_lives, children)), timeout=30, message="children outlive their worker")
    assert len(children) >= 2


def _lives(pid):
    import psutil

    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
