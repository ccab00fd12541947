"""Processes that die under a job, and those that run too long: what it costs that job, and that it costs nobody else."""

import os
import signal
from datetime import timedelta

import pytest

from apps.jobs.conf import config
from apps.jobs.lifecycle import Status
from apps.jobs.models import Job
from tests.jobs.engine.conftest import ended, in_status
from tests.jobs.engine.test_endings import history, tally
from tests.support import effects, factories
from tests.support.waiting import until

RESCUE_CAP = 3   # the default of `JOBS_`: see `conf.Config`


@pytest.mark.parametrize("do", ["die", "exit_at_once"])
def test_a_job_that_kills_its_process_each_time_is_a_dead_letter_and_its_neighbours_lose_nothing(prefork, enqueue, do):
    poison = enqueue(prefork, do, max_attempts=50)
    neighbours = [enqueue(prefork, value=number, seconds=0.02) for number in range(60)]
    row, *others = ended(poison, *neighbours)

    assert (Status.DEAD_LETTER, RESCUE_CAP + 1, 0) == (row.status, row.rescues, row.failures)
    assert ["worker_lost"] * (RESCUE_CAP + 1) == history(poison)
    assert "WorkerLost" == row.error["class"]
    assert [(Status.COMPLETED, 1, 0)] * 60 == [(each.status, each.attempt, each.rescues) for each in others]


def test_a_process_that_dies_once_costs_a_rescue_and_no_attempt_of_the_budget(prefork, enqueue):
    (row,) = ended(enqueue(prefork, "die", value="then", until_attempt=1, max_attempts=1))

    assert (Status.COMPLETED, "then", 1, 0) == (row.status, row.result, row.rescues, row.failures)


def test_a_process_that_dies_after_its_own_completion_has_completed_the_job_exactly_once(prefork, enqueue):
    jobs = [enqueue(prefork, "complete_and_die", value="done") for _ in range(3)]
    after = [enqueue(prefork) for _ in range(10)]
    rows = ended(*jobs, *after)
    until(lambda: Job.objects.filter(status=Status.RUNNING).count() == 0, timeout=30)

    assert [(Status.COMPLETED, "done", 1, 0)] * 3 == [(row.status, row.result, row.attempt, row.rescues) for row in rows[:3]]
    assert [1] * 3 == [len(effects.of(job_id)) for job_id in jobs]
    assert [(1, 0)] * 10 == [(row.attempt, row.rescues) for row in rows[3:]]
    assert {"completed": 13} == tally()


def test_a_lost_process_is_noticed_long_before_the_lease_ends(workers, enqueue, desk):
    worker = workers.start(slots=1, lease_seconds=3600)
    job_id = enqueue(worker, "wait", desk=desk)
    os.kill(until(lambda: desk.began(job_id), timeout=30), signal.SIGKILL)

    until(lambda: desk.began(job_id, attempt=2), timeout=30, message="nobody noticed that its process died")
    desk.go()
    (row,) = ended(job_id)
    assert (Status.COMPLETED, 1) == (row.status, row.rescues)


def test_a_child_that_stands_before_it_takes_its_job_is_replaced_and_costs_nobody_anything(workers, enqueue):
    """No time limit counts before a child has taken what it was given."""
    worker = workers.start(slots=1)
    ended(enqueue(worker))
    (child,) = worker.children()
    os.kill(child, signal.SIGSTOP)
    (row,) = ended(enqueue(worker, value="ran"))

    assert (Status.COMPLETED, "ran", 1, 0) == (row.status, row.result, row.attempt, row.rescues)
    assert child not in worker.children()


def test_a_handler_past_its_timeout_loses_its_process_and_an_attempt(prefork, enqueue, desk):
    bad = enqueue(prefork, "wait", desk=desk, timeout=timedelta(seconds=1), max_attempts=2)
    good = [enqueue(prefork) for _ in range(10)]
    row, *others = ended(bad, *good)

    assert (Status.DEAD_LETTER, 2, 2, 0) == (row.status, row.attempt, row.failures, row.rescues)
    assert ["timed_out", "timed_out"] == history(bad)
    assert "timeout of 1 s" in row.error["message"]
    assert [(Status.COMPLETED, 1)] * 10 == [(each.status, each.attempt) for each in others]


def test_a_thread_past_its_timeout_is_settled_and_not_believed_afterwards(workers, enqueue, desk):
    worker = workers.start(pool="threads", slots=2)
    bad = enqueue(worker, "wait", value="too late", desk=desk, timeout=timedelta(seconds=1), type_name="scripted.once")
    (row,) = ended(bad)

    assert (Status.DEAD_LETTER, ["timed_out"]) == (row.status, history(bad))
    (beside,) = ended(enqueue(worker, value="the other slot works on"))
    assert Status.COMPLETED == beside.status
    desk.go()
    until(lambda: worker.events("job.settled", job_id=str(bad)), timeout=30, message="the thread never came to its end")
    both = [enqueue(worker, seconds=0.2) for _ in range(4)]
    assert [Status.COMPLETED] * 4 == [each.status for each in ended(*both)]
    assert (Status.DEAD_LETTER, None) == (factories.row(bad).status, factories.row(bad).result)


def test_a_handler_that_checks_in_a_thread_hears_of_its_timeout(threads, enqueue, desk):
    (row,) = ended(enqueue(
        threads, "wait_checking", desk=desk, timeout=timedelta(seconds=1), type_name="scripted.once",
    ))

    assert (Status.DEAD_LETTER, ["timed_out"]) == (row.status, history(row.id))
    until(lambda: threads.events("job.settled", job_id=str(row.id)), timeout=30, message="it never came back")


def test_a_worker_that_lost_all_its_threads_starts_anew_and_serves(workers, enqueue, desk):
    worker = workers.start(pool="threads", slots=2)
    before = worker.id()
    stuck = [
        enqueue(worker, "wait", desk=desk, timeout=timedelta(seconds=1), type_name="scripted.once") for _ in range(2)
    ]
    waiting = [enqueue(worker, value=number) for number in range(3)]
    rows = ended(*stuck, *waiting)

    assert [Status.DEAD_LETTER] * 2 + [Status.COMPLETED] * 3 == [row.status for row in rows]
    assert [1] * 5 == [row.attempt for row in rows]
    assert before != worker.id()
    assert [] != worker.events("worker.restarts")


def test_killing_children_all_the_time_hangs_nothing(prefork, enqueue):
    jobs = [enqueue(prefork, seconds=0.01, max_attempts=1) for _ in range(200)]
    for _ in range(25):
        for pid in prefork.children():
            os.kill(pid, signal.SIGKILL)
        done = Job.objects.filter(id__in=jobs, status=Status.COMPLETED).count()
        until(lambda done=done: Job.objects.filter(id__in=jobs, status=Status.COMPLETED).count() >= min(done + 3, 190), timeout=60)
    rows = ended(*jobs)

    assert [0] * 200 == [row.failures for row in rows]
    # Whatever was running at more of the kills than a job may be rescued from has been given up, by chance one or two.
    cap = config().rescue_cap
    assert [Status.DEAD_LETTER if row.rescues > cap else Status.COMPLETED for row in rows] == [row.status for row in rows]


def test_what_was_waiting_in_a_dead_childs_worker_is_not_charged(prefork, enqueue, desk):
    long = [enqueue(prefork, "wait", desk=desk) for _ in range(2)]
    pids = [until(lambda job_id=job_id: desk.began(job_id), timeout=30) for job_id in long]
    waiting = [enqueue(prefork) for _ in range(20)]
    os.kill(pids[0], signal.SIGKILL)
    until(lambda: desk.began(long[0], attempt=2), timeout=60)
    desk.go()
    rows = ended(*long, *waiting)

    assert [1, 0] + [0] * 20 == [row.rescues for row in rows]
    assert [1] * 20 == [row.attempt for row in rows[2:]]
    in_status(long[1], Status.COMPLETED)
