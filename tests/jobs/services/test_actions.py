"""What a person may do with a job or a queue, and when not."""

import uuid

import pytest
from django.db import connection

from apps.jobs import services as jobs
from apps.jobs.conf import config
from apps.jobs.errors import (
    JobBusy,
    JobNotFound,
    NotAllowedNow,
    QueueNotFound,
    UniqueConflict,
)
from apps.jobs.lifecycle import FINISHED, UNFINISHED, Status
from apps.jobs.models import Job
from tests.support.factories import job_in, own_connection, row

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("echo")]
transactional = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("action", [jobs.retry, jobs.run, jobs.cancel, jobs.discard])
def test_a_job_that_does_not_exist_is_said_not_to(action):
    with pytest.raises(JobNotFound):
        action(uuid.uuid4())


@pytest.mark.parametrize(("action", "statuses"), [
    (jobs.retry, UNFINISHED), (jobs.cancel, FINISHED), (jobs.run, [*FINISHED, Status.RUNNING]),
    (jobs.discard, [status for status in Status if status != Status.DEAD_LETTER]),
])
def test_what_the_status_forbids_is_refused_and_changes_nothing(action, statuses):
    for status in statuses:
        job_id = job_in(status)
        before = Job.objects.filter(id=job_id).values().get()
        with pytest.raises(NotAllowedNow) as refused:
            action(job_id)
        assert status == refused.value.status
        assert before == Job.objects.filter(id=job_id).values().get()


def test_retrying_rings(rings, django_capture_on_commit_callbacks):
    job_id = job_in(Status.DEAD_LETTER, max_attempts=1)

    with django_capture_on_commit_callbacks(execute=True):
        jobs.retry(job_id)

    assert (Status.QUEUED, 6, [("default", 1)]) == (row(job_id).status, row(job_id).max_attempts, rings)


def test_running_now_rings_also_for_a_job_that_is_ready(rings, django_capture_on_commit_callbacks):
    job_id = job_in(Status.QUEUED)

    with django_capture_on_commit_callbacks(execute=True):
        jobs.run(job_id)

    assert [("default", 1)] == rings


def test_retrying_is_refused_when_the_key_is_taken_and_says_by_whom():
    job_id = job_in(Status.COMPLETED, unique_key="k")
    other = job_in(Status.QUEUED, unique_key="k")

    with pytest.raises(UniqueConflict) as refused:
        jobs.retry(job_id)
    assert other == refused.value.job_id
    assert Status.COMPLETED == row(job_id).status


def test_a_job_of_a_type_that_is_gone_can_still_be_retried():
    job_id = job_in(Status.DEAD_LETTER, type="test.gone", max_attempts=3)

    jobs.retry(job_id)

    assert (Status.QUEUED, 6) == (row(job_id).status, row(job_id).max_attempts)


@transactional
def test_a_row_that_somebody_holds_is_called_busy_after_a_while():
    job_id = job_in(Status.RUNNING)

    with own_connection() as handler, handler.transaction():
        handler.execute("SELECT FROM job WHERE id = %s FOR NO KEY UPDATE", [job_id])
        with pytest.raises(JobBusy):
            jobs.cancel(job_id)
    jobs.cancel(job_id)
    assert row(job_id).cancel_requested_at is not None


def test_the_callers_own_limit_on_waiting_holds_after_an_action():
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout = '77s'")
        jobs.cancel(job_in(Status.QUEUED))
        cursor.execute("SHOW lock_timeout")
        assert "77s" == cursor.fetchone()[0]


def test_pausing_needs_a_queue_that_exists():
    with pytest.raises(QueueNotFound, match="nowhere"):
        jobs.pause("nowhere")
    with pytest.raises(QueueNotFound, match="nowhere"):
        jobs.resume("nowhere")


def test_resuming_rings_for_everybody(rings, django_capture_on_commit_callbacks):
    jobs.pause("default", by="ada", reason="repair")

    with django_capture_on_commit_callbacks(execute=True):
        assert jobs.resume("default")

    assert [("default", config().tickets)] == rings
    assert not jobs.resume("default")
