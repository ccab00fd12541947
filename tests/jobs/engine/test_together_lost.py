"""Stops, deaths, timeouts and lost leases in the middle of a hand-over of several jobs."""

import contextlib
import os
import random
import signal
import time
from datetime import timedelta

import pytest

from apps.jobs.lifecycle import FINISHED, Status
from apps.jobs.models import Job
from tests.jobs.engine.conftest import ended
from tests.jobs.engine.test_endings import history
from tests.jobs.engine.test_leases import declare_dead
from tests.jobs.engine.test_together import POOLS, gathered, taught, untouched
from tests.support import effects, factories
from tests.support.waiting import until

STOP_SECONDS = 1.0 + 3 * 3.0   # the job that runs, the stated bound, and that a busy machine may take three times as long


@pytest.fixture(params=POOLS)
def lane(request, workers):
    """A worker of one slot, of the test's own, that has learnt that the scripted type is short."""
    return taught(workers.start(pool=request.param, slots=1, lease_seconds=3))


@pytest.fixture
def prefork_lane(workers):
    return taught(workers.start(slots=1))


def test_a_stop_in_the_middle_ends_soon_and_charges_nobody(lane, enqueue):
    with gathered(lane):
        sent = [enqueue(lane, "effect", seconds=0.1) for _ in range(40)]
    until(lambda: effects.of(sent[1]), timeout=30)
    lane.send(signal.SIGTERM)
    since = time.monotonic()
    status = lane.wait()
    took = time.monotonic() - since
    rows = list(Job.objects.filter(id__in=sent))

    assert 0 == status
    assert took < STOP_SECONDS
    assert {(Status.COMPLETED, 1), (Status.QUEUED, 0)} == {(row.status, row.attempt) for row in rows}
    assert {(0, 0)} == {(row.failures, row.rescues) for row in rows}
    assert [] == [row.id for row in rows if len(effects.of(row.id)) != row.attempt]


def test_a_stop_whose_grace_runs_out_gives_back_the_one_that_runs(workers, enqueue, desk):
    worker = taught(workers.start(slots=1, JOBS_STOP_GRACE_SECONDS="1"))
    with gathered(worker):
        early = [enqueue(worker, "effect") for _ in range(4)]
        running = enqueue(worker, "wait", desk=desk)
        late = [enqueue(worker, "effect") for _ in range(4)]
    until(lambda: desk.began(running), timeout=30)
    worker.stop()
    rows = [factories.row(job_id) for job_id in (*early, running, *late)]

    assert [Status.COMPLETED] * 4 + [Status.QUEUED] * 5 == [row.status for row in rows]
    assert {(0, 0)} == {(row.failures, row.rescues) for row in rows}
    assert ["stopped"] == history(running)
    assert [1] * 4 + [0] * 4 == [len(effects.of(job_id)) for job_id in (*early, *late)]


def test_children_killed_at_any_moment_leave_exactly_one_effect_each(prefork_lane, enqueue):
    with gathered(prefork_lane):
        sent = [enqueue(prefork_lane, "complete", seconds=0.005) for _ in range(400)]
    moments = random.Random(20261125)
    done = Job.objects.filter(id__in=sent, status__in=FINISHED)
    kills = 0
    while (before := done.count()) < len(sent) and kills < 8:
        least = min(len(sent), before + moments.randrange(5, 40))
        until(lambda least=least: done.count() >= least, timeout=60)
        for pid in prefork_lane.children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        kills += 1
    rows = ended(*sent)
    lost = sum(history(job_id).count("worker_lost") for job_id in sent)

    assert [] == [row.id for row in rows if row.status != Status.COMPLETED]
    assert [] == [job_id for job_id in sent if len(effects.of(job_id)) != 1]
    assert kills > 3
    assert lost == sum(row.rescues for row in rows) <= kills


def test_a_lease_lost_in_the_middle_costs_what_has_ended_nothing(lane, enqueue, desk):
    with gathered(lane):
        early = [enqueue(lane, "effect") for _ in range(4)]
        running = enqueue(lane, "wait_checking", desk=desk)
        late = [enqueue(lane, "effect") for _ in range(4)]
    until(lambda: desk.began(running), timeout=30)
    ended(*early)   # told while their sibling goes on
    declare_dead(lane.id())
    until(lambda: desk.began(running, attempt=2), timeout=60, message="nobody took it over")
    desk.go()
    rows = ended(*early, running, *late)   # the late ones it may have claimed again: who takes them back cannot know

    assert [] == untouched(rows[:4])
    assert [(Status.COMPLETED, 0)] * 5 == [(row.status, row.failures) for row in rows[4:]]
    assert [1] * 8 == [len(effects.of(job_id)) for job_id in (*early, *late)]


def test_a_lease_lost_before_the_rest_was_given_back_runs_nothing_twice_that_was_told(lane, enqueue):
    with gathered(lane):
        sent = [enqueue(lane, "complete", seconds=0.05) for _ in range(20)]
    until(lambda: effects.of(sent[3]), timeout=30)
    declare_dead(lane.id())
    rows = ended(*sent)

    assert [(Status.COMPLETED, 0)] * 20 == [(row.status, row.failures) for row in rows]
    assert [1] * 20 == [len(effects.of(job_id)) for job_id in sent]


def test_a_timeout_in_the_middle_is_the_jobs_own(lane, enqueue, desk):
    with gathered(lane):
        early = [enqueue(lane, "effect") for _ in range(4)]
        long = enqueue(lane, "wait_checking", desk=desk, timeout=timedelta(seconds=1), max_attempts=1)
        late = [enqueue(lane, "effect") for _ in range(4)]
    row, *others = ended(long, *early, *late)

    assert (Status.DEAD_LETTER, ["timed_out"], 1, 0) == (row.status, history(long), row.failures, row.rescues)
    assert [] == untouched(others)
    assert [1] * 8 == [len(effects.of(each.id)) for each in others]


def test_a_process_whose_job_runs_beyond_its_timeout_is_ended_and_no_sibling_pays(prefork_lane, enqueue, desk):
    with gathered(prefork_lane):
        early = [enqueue(prefork_lane, "effect") for _ in range(4)]
        long = enqueue(prefork_lane, "wait", desk=desk, timeout=timedelta(seconds=1), max_attempts=1)
        late = [enqueue(prefork_lane, "effect") for _ in range(4)]
    pid = until(lambda: desk.began(long), timeout=30)
    row, *others = ended(long, *early, *late)

    assert (Status.DEAD_LETTER, ["timed_out"]) == (row.status, history(long))
    assert [] == untouched(others)
    until(lambda: pid not in prefork_lane.children(), timeout=30, message="the process goes on")


def test_a_timeout_counts_from_the_jobs_own_beginning(lane, enqueue):
    with gathered(lane):
        sent = [enqueue(lane, "effect", seconds=0.1, timeout=timedelta(seconds=1)) for _ in range(25)]

    assert [] == untouched(ended(*sent))
