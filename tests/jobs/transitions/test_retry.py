"""What a person moves: finished jobs back, waiting ones forward, dead letters away."""

import json
from datetime import UTC, datetime

import pytest
from django.db import IntegrityError, transaction

from apps.jobs import selectors
from apps.jobs.lifecycle import FINISHED, UNFINISHED, WAITING, AttemptOutcome, Status
from apps.jobs.models import Job
from apps.jobs.transitions import retry
from apps.jobs.transitions.statement import on_django
from tests.support.factories import TYPE, claim, end, job, job_in, row, settled, worker

pytestmark = pytest.mark.django_db
ERROR = json.dumps({"class": "ValueError", "message": "no", "traceback": ""})


def retried(*ids, attempts=5):
    return retry.retry(on_django(), ids=list(ids), attempts={TYPE: attempts}).get()


@pytest.mark.parametrize("status", FINISHED)
def test_a_finished_job_goes_back_to_its_queue_with_more_attempts(status):
    job_id = job_in(status, max_attempts=2)

    assert {job_id: "default"} == retried(job_id, attempts=3)
    found = row(job_id)
    assert (Status.QUEUED, 5, None, None, None, None, None) == (
        found.status, found.max_attempts, found.fence, found.worker_id, found.started_at, found.finished_at, found.result)


@pytest.mark.parametrize("status", FINISHED)
def test_it_is_no_longer_counted_among_the_finished(status):
    job_id = job_in(status)
    assert 1 == selectors.by_status()[status]

    retried(job_id)

    assert {"queued": 1} == {name: count for name, count in selectors.by_status().items() if count}


@pytest.mark.parametrize("status", UNFINISHED)
def test_an_unfinished_job_is_left_alone(status):
    job_id = job_in(status)
    before = Job.objects.filter(id=job_id).values().get()

    assert {} == retried(job_id)
    assert before == Job.objects.filter(id=job_id).values().get()


def test_its_attempts_so_far_stay_and_the_next_has_the_next_number():
    job_id, me = job(max_attempts=1), worker()
    settled(me, end(claim(me), AttemptOutcome.FAILED, error=ERROR))
    retried(job_id)
    settled(me, end(claim(me), result="1"))
    retried(job_id)

    settled(me, end(claim(me), AttemptOutcome.DISCARDED, error=ERROR))

    assert [(1, "failed"), (2, "completed"), (3, "discarded")] == [
        (each.number, each.outcome) for each in selectors.attempts(job_id)]


def test_a_job_that_never_began_has_no_attempt_to_keep():
    job_id = job_in(Status.CANCELLED)
    retried(job_id)

    assert [] == selectors.attempts(job_id)


def test_an_attempt_from_before_a_retry_cannot_settle():
    job_id, me = job(), worker()
    first = claim(me)
    settled(me, end(first))
    retried(job_id)

    assert [(str(job_id), first.fence)] == settled(me, end(first)).stale
    assert Status.QUEUED == row(job_id).status


def test_a_request_to_cancel_is_forgotten():
    job_id = job_in(Status.CANCELLED)
    retried(job_id)

    me = worker()
    settled(me, end(claim(me), AttemptOutcome.FAILED, delay_seconds=1.0, error=ERROR))

    assert Status.RETRYING == row(job_id).status


def test_its_rescues_begin_anew_and_its_failures_do_not():
    job_id, me = job(max_attempts=1), worker()
    settled(me, end(claim(me), AttemptOutcome.WORKER_LOST, error=ERROR))
    settled(me, end(claim(me), AttemptOutcome.FAILED, error=ERROR))
    retried(job_id, attempts=1)

    settled(me, end(claim(me), AttemptOutcome.FAILED, delay_seconds=0.0, error=ERROR))

    assert (Status.DEAD_LETTER, 2, 2, 0) == (
        row(job_id).status, row(job_id).failures, row(job_id).max_attempts, row(job_id).rescues)


def test_a_unique_key_that_another_has_taken_meanwhile_forbids_it():
    job_id = job_in(Status.COMPLETED, unique_key="k")
    job(unique_key="k")

    with pytest.raises(IntegrityError, match="job_unique_key"), transaction.atomic():
        retried(job_id)
    assert Status.COMPLETED == row(job_id).status


def test_a_retried_job_stands_at_the_end_of_its_queue():
    job_id = job_in(Status.COMPLETED)
    other = job()

    retried(job_id)

    me = worker()
    assert [str(other), str(job_id)] == [claim(me).id for _ in range(2)]


@pytest.mark.parametrize("status", WAITING)
def test_a_waiting_job_can_be_made_ready_now(status):
    job_id = job_in(status)

    assert {job_id: "default"} == retry.run(on_django(), ids=[job_id]).get()
    assert str(job_id) == claim(worker()).id


@pytest.mark.parametrize("status", [Status.RUNNING, *FINISHED])
def test_only_a_waiting_job_can_be_made_ready(status):
    job_id = job_in(status)

    assert {} == retry.run(on_django(), ids=[job_id]).get()
    assert status == row(job_id).status


def test_a_job_that_is_ready_already_keeps_its_age():
    job_id = job(run_at=datetime(2001, 1, 1, tzinfo=UTC))

    retry.run(on_django(), ids=[job_id]).get()

    assert datetime(2001, 1, 1, tzinfo=UTC) == row(job_id).run_at


def test_a_dead_letter_can_be_put_away_and_taken_back():
    job_id = job_in(Status.DEAD_LETTER)

    assert {job_id: "default"} == retry.discard(on_django(), ids=[job_id]).get()
    assert Status.CANCELLED == row(job_id).status
    assert (0, 1) == (selectors.by_status()["dead_letter"], selectors.by_status()["cancelled"])
    retried(job_id)
    assert (0, 0) == (selectors.by_status()["dead_letter"], selectors.by_status()["cancelled"])


@pytest.mark.parametrize("status", [status for status in Status if status != Status.DEAD_LETTER])
def test_only_a_dead_letter_can_be_put_away(status):
    job_id = job_in(status)

    assert {} == retry.discard(on_django(), ids=[job_id]).get()
    assert status == row(job_id).status
