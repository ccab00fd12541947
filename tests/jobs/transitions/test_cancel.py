"""Cancellations: waiting jobs end at once, running ones are asked."""

import threading

import pytest

from apps.jobs import selectors
from apps.jobs.lifecycle import FINISHED, WAITING, AttemptOutcome, Status
from apps.jobs.models import Job
from apps.jobs.transitions import cancel, due, presence, rescue
from apps.jobs.transitions.statement import on_django
from tests.support.factories import (
    CANCELLED,
    claim,
    claims,
    end,
    job,
    job_in,
    jobs,
    own_connection,
    row,
    settled,
    worker,
)
from tests.support.waiting import until

pytestmark = pytest.mark.django_db
transactional = pytest.mark.django_db(transaction=True)


def asked(*ids, execute=None):
    return cancel.cancel(execute or on_django(), ids=list(ids), error=CANCELLED).get()


@pytest.mark.parametrize("status", WAITING)
def test_a_waiting_job_ends_at_once(status):
    job_id = job_in(status)

    assert [cancel.Cancelled(job_id, ended=True)] == asked(job_id)
    found = row(job_id)
    assert (Status.CANCELLED, "by a test") == (found.status, found.error["message"])
    assert found.finished_at is not None
    assert 1 == selectors.by_status()["cancelled"]


def test_a_running_job_is_asked_and_goes_on():
    job_id = job_in(Status.RUNNING)
    before = row(job_id)

    assert [cancel.Cancelled(job_id, ended=False)] == asked(job_id)
    found = row(job_id)
    assert (Status.RUNNING, before.fence, before.error) == (found.status, found.fence, found.error)
    assert found.cancel_requested_at is not None


@pytest.mark.parametrize("status", FINISHED)
def test_a_finished_job_is_left_as_it_is(status):
    job_id = job_in(status)
    before = Job.objects.filter(id=job_id).values().get()

    assert [] == asked(job_id)
    assert before == Job.objects.filter(id=job_id).values().get()


def test_asking_again_keeps_the_first_moment():
    job_id = job_in(Status.RUNNING)
    asked(job_id)
    first = row(job_id).cancel_requested_at

    asked(job_id)

    assert first == row(job_id).cancel_requested_at


def test_a_handler_that_returned_first_stays_completed():
    job_id, me = job(), worker()
    got = claim(me)
    asked(job_id)

    settled(me, end(got, result="1"))

    assert Status.COMPLETED == row(job_id).status


def test_a_job_whose_worker_dies_after_the_request_ends_cancelled():
    job_id, me = job(), worker()
    claim(me)
    asked(job_id)
    presence.end(on_django(), worker=me, reason="test")

    taken = rescue.rescue(on_django(), rescue_cap=3, limit=10, error="{}").get()

    assert [(job_id, "cancelled")] == [(each.id, each.status) for each in taken]
    assert 1 == selectors.by_status()["cancelled"]


def test_a_cancelled_job_is_neither_moved_nor_claimed():
    job_id = job_in(Status.RETRYING)
    asked(job_id)
    Job.objects.filter(id=job_id).update(run_at="2001-01-01T00:00:00Z")

    assert {} == due.move(on_django(), limit=10).get()
    assert [] == claims(worker())


@transactional
def test_a_job_that_is_claimed_while_its_cancellation_waits_is_asked_not_ended(other, third):
    """The cancellation's snapshot sees a waiting job; when it has the row's lock, an attempt runs."""
    job_id, me = job(), worker()
    answers = []

    def ask():
        answers.extend(asked(job_id, execute=third.execute))

    asking = threading.Thread(target=ask)
    with other.transaction():
        got = claim(me, execute=other.execute)
        asking.start()
        until(lambda: _waits_for_a_lock(third.info.backend_pid), message="the cancellation waits for the claim")
    asking.join()

    found = row(job_id)
    assert [cancel.Cancelled(job_id, ended=False)] == answers
    assert (Status.RUNNING, got.fence, None) == (found.status, found.fence, found.finished_at)
    settled(me, end(got, AttemptOutcome.CANCELLED))
    assert Status.CANCELLED == row(job_id).status


@transactional
def test_two_who_cancel_the_same_jobs_in_other_orders_do_not_deadlock():
    ids = jobs(200)
    failures = []

    def ask(mine):
        try:
            with own_connection() as connection:
                asked(*mine, execute=connection.execute)
        except Exception as exc:  # noqa: BLE001  the test tells it
            failures.append(exc)

    threads = [threading.Thread(target=ask, args=[mine]) for mine in (ids, ids[::-1], ids[::2] + ids[1::2])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [] == failures
    assert 200 == selectors.by_status()["cancelled"] == Job.objects.filter(status=Status.CANCELLED).count()


def _waits_for_a_lock(pid: int) -> bool:
    with own_connection() as looking:
        return bool(looking.execute("SELECT FROM pg_locks WHERE pid = %s AND NOT granted", [pid]).fetchall())
