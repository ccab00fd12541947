"""Due rows, and what waits."""

from datetime import UTC, datetime, timedelta

import pytest

from apps.jobs.lifecycle import Status
from apps.jobs.models import Job
from apps.jobs.transitions import due, pause
from apps.jobs.transitions.statement import on_django
from tests.support.factories import job, job_in, jobs, own_connection, row

pytestmark = pytest.mark.django_db
transactional = pytest.mark.django_db(transaction=True)
LONG_AGO = datetime(2001, 1, 1, tzinfo=UTC)


def moved(*, limit=1000, execute=None):
    return due.move(execute or on_django(), limit=limit).get()


def overdue(status=Status.SCHEDULED, **changes):
    job_id = job_in(status, **changes)
    Job.objects.filter(id=job_id).update(run_at=LONG_AGO)
    return job_id


@pytest.mark.parametrize("status", [Status.SCHEDULED, Status.RETRYING])
def test_a_due_job_becomes_ready_and_keeps_its_age(status):
    job_id = overdue(status)

    assert {"default": 1} == moved()
    assert (Status.QUEUED, LONG_AGO) == (row(job_id).status, row(job_id).run_at)


@pytest.mark.parametrize("status", [Status.SCHEDULED, Status.RETRYING])
def test_a_job_is_never_moved_before_its_time(status):
    job_id = job_in(status)

    assert {} == moved()
    assert status == row(job_id).status


def test_with_a_lead_what_is_due_within_it_is_moved_and_nothing_else():
    near, far = job(delay_seconds=30), job(delay_seconds=90)

    assert {"default": 1} == due.move(on_django(), limit=10, lead_seconds=60).get()
    assert [Status.QUEUED, Status.SCHEDULED] == [row(near).status, row(far).status]


@pytest.mark.parametrize("status", [Status.RUNNING, Status.COMPLETED, Status.CANCELLED, Status.DEAD_LETTER])
def test_other_jobs_are_left_alone_however_old(status):
    job_id = overdue(status)

    assert {} == moved()
    assert status == row(job_id).status


def test_the_answer_counts_the_ready_rows_of_each_queue():
    for queue in ("mail", "mail", "default"):
        overdue(queue=queue)

    assert {"mail": 2, "default": 1} == moved()


def test_no_more_than_asked_for_is_moved_and_the_oldest_first():
    young, old = overdue(), overdue()
    Job.objects.filter(id=young).update(run_at=LONG_AGO + timedelta(seconds=1))

    moved(limit=1)

    assert [Status.QUEUED, Status.SCHEDULED] == [row(old).status, row(young).status]


def test_a_due_job_that_is_to_be_cancelled_ends_instead():
    job_id = overdue()
    Job.objects.filter(id=job_id).update(cancel_requested_at=LONG_AGO)

    assert {} == moved()
    assert Status.CANCELLED == row(job_id).status


@transactional
def test_a_row_that_somebody_holds_is_moved_later(held_by):
    held, free = overdue(), overdue()

    with held_by(held):
        moved()
        assert [Status.SCHEDULED, Status.QUEUED] == [row(held).status, row(free).status]
    moved()
    assert Status.QUEUED == row(held).status


@transactional
def test_two_dispatchers_move_each_row_once(other):
    jobs(20, delay_seconds=3600.0)
    Job.objects.update(run_at=LONG_AGO)
    with own_connection() as mine, other.transaction():
        first = moved(limit=12, execute=other.execute)
        second = moved(execute=mine.execute)

    assert ({"default": 12}, {"default": 8}) == (first, second)


def test_the_outlook_says_how_long_until_the_next_row_is_due():
    assert due.outlook(on_django()).get().next_due_seconds is None

    job(delay_seconds=60.0)

    said = due.outlook(on_django()).get()
    assert 50 < said.next_due_seconds <= 60
    assert said.now.tzinfo is not None


def test_the_outlook_of_an_overdue_row_lies_in_the_past():
    overdue()

    assert due.outlook(on_django()).get().next_due_seconds < 0


def neglected():
    return due.neglected(on_django()).get()


def test_queues_with_rows_ready_for_a_second_are_rung_for():
    for queue in ("b", "a", "c"):
        job(queue=queue, run_at=LONG_AGO)
    job(queue="fresh")

    assert ["a", "b", "c"] == sorted(neglected())


def test_an_old_row_behind_a_fresh_urgent_one_is_not_overlooked():
    job(priority=0)
    job(priority=9, run_at=LONG_AGO)

    assert ["default"] == neglected()


def test_a_paused_queue_is_not_rung_for():
    job(queue="mail", run_at=LONG_AGO)
    pause.pause(on_django(), name="mail", by="me", reason="")

    assert [] == neglected()


@pytest.mark.parametrize("status", [status for status in Status if status != Status.QUEUED])
def test_queues_without_ready_rows_are_not_rung_for(status):
    overdue(status)

    assert [] == neglected()
