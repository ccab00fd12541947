"""A worker that cannot reach its broker works on: it is told nothing, and looks."""

import os
import signal
from datetime import timedelta
from types import SimpleNamespace

import pytest

from apps.jobs import services as jobs
from apps.jobs.lifecycle import AttemptOutcome, Status
from apps.jobs.selectors import attempts
from tests.jobs.engine.conftest import ended, in_status
from tests.support import factories
from tests.support.cable import Cable
from tests.support.waiting import until


@pytest.fixture
def cable():
    made = Cable()
    yield made
    made.cut()


@pytest.fixture
def missing(workers, cable):
    """Start a worker that reaches its broker through a cable, for `missing(hurt)` to be called while something runs."""
    started = []

    def start(**options):
        started.append(workers.start(BROKER_URL=cable.url, **options))
        return started[0]

    def hurt_it(hurt):
        hurt(cable)
        until(lambda: started[0].events("worker.works_without_broker"), timeout=30, message="it never missed its broker")

    return SimpleNamespace(start=start, its_broker=hurt_it, mend=cable.mend)


POOLS = pytest.mark.parametrize("pool", ["prefork", "threads"])


@pytest.mark.parametrize(("pool", "hurt"), [("prefork", Cable.cut), ("prefork", Cable.silence), ("threads", Cable.cut)])
def test_what_runs_ends_and_what_comes_is_run_while_the_broker_is_away(missing, enqueue, desk, pool, hurt):
    worker = missing.start(slots=2, pool=pool)
    before, running = worker.id(), enqueue(worker, "wait", value="ran on", desk=desk)
    until(lambda: desk.began(running), timeout=30)
    missing.its_broker(hurt)
    came = [enqueue(worker, "effect", seconds=0.005) for _ in range(60)]
    rows = ended(*came)
    desk.go()
    rows += ended(running)
    missing.mend()
    rows += ended(*[enqueue(worker) for _ in range(20)])

    assert {(Status.COMPLETED, 1, 0)} == {(row.status, row.attempt, row.rescues) for row in rows}
    assert before == worker.id()


@POOLS
def test_a_cancellation_is_heard_and_a_timeout_kept_while_the_broker_is_away(missing, enqueue, desk, pool):
    worker = missing.start(slots=2, pool=pool)
    late = enqueue(worker, "wait_checking", desk=desk, timeout=timedelta(seconds=6), max_attempts=1)
    told = enqueue(worker, "wait_checking", desk=desk)
    [until(lambda each=each: desk.began(each), timeout=30) for each in (late, told)]
    missing.its_broker(Cable.cut)
    jobs.cancel(told)

    in_status(told, Status.CANCELLED)
    in_status(late, Status.DEAD_LETTER)
    assert [AttemptOutcome.TIMED_OUT] == [each.outcome for each in attempts(late)]


@POOLS
def test_a_worker_that_is_asked_to_stop_while_the_broker_is_away_lets_what_runs_end_and_gives_back_the_rest(
    missing, enqueue, desk, pool,
):
    worker = missing.start(slots=1, pool=pool)
    running = enqueue(worker, "wait", value="ended", desk=desk)
    until(lambda: desk.began(running), timeout=30)
    missing.its_broker(Cable.cut)
    waiting = [enqueue(worker) for _ in range(5)]
    worker.send(signal.SIGTERM)
    desk.go()
    worker.wait()

    row = factories.row(running)
    assert (Status.COMPLETED, "ended", 1) == (row.status, row.result, row.attempt)
    assert {(Status.QUEUED, 0, 0)} == {(row.status, row.attempt, row.rescues) for row in map(factories.row, waiting)}


def test_a_child_that_dies_while_the_broker_is_away_costs_the_job_that_it_ran_and_is_replaced(missing, enqueue, desk):
    worker = missing.start(slots=1)
    running = enqueue(worker, "wait", value=1, desk=desk)
    until(lambda: desk.began(running), timeout=30)
    missing.its_broker(Cable.cut)
    (child,) = worker.children()
    os.kill(child, signal.SIGKILL)
    until(lambda: desk.began(running, attempt=2), timeout=30, message="nobody ran it again")
    desk.go()
    (row,) = ended(running)

    assert (Status.COMPLETED, 2, 1) == (row.status, row.attempt, row.rescues)
