"""One unfinished job a key, whoever else comes at the same moment."""

import sys
import threading
import uuid

import pytest
from django.db import connection

from apps.jobs import selectors
from apps.jobs import services as jobs
from apps.jobs.errors import InvalidJob, UniqueConflict
from apps.jobs.lifecycle import FINISHED, Status
from apps.jobs.models import Job
from apps.jobs.services import Enqueued, Options
from tests.support.factories import TYPE, job_in, own_connection, row

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("echo")]
transactional = pytest.mark.django_db(transaction=True)
enqueueing = sys.modules[Enqueued.__module__]   # the package offers a function of the module's name


def together(count, act):
    """Act in many threads at the same moment, and return what each got or raised."""
    start, outcomes = threading.Barrier(count), []

    def run(number):
        start.wait()
        try:
            outcomes.append(act(number))
        except Exception as exc:  # noqa: BLE001  the test judges it
            outcomes.append(exc)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=[number]) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def test_a_taken_key_is_refused_with_the_other_jobs_id():
    first = jobs.enqueue(TYPE, {}, unique_key="k")

    with pytest.raises(UniqueConflict) as refused:
        jobs.enqueue(TYPE, {}, unique_key="k")
    assert (first, "k") == (refused.value.job_id, refused.value.unique_key)


def test_the_existing_job_is_returned_when_that_was_asked_for():
    first = jobs.enqueue(TYPE, {}, unique_key="k")
    again = jobs.place(TYPE, {}, Options(unique_key="k", on_conflict="return_existing"))

    assert (first, False) == (again.id, again.created)
    assert 1 == Job.objects.count()


@pytest.mark.parametrize("status", [Status.SCHEDULED, Status.QUEUED, Status.RETRYING])
def test_a_waiting_job_is_replaced(status):
    first = job_in(status, unique_key="k")

    second = jobs.enqueue(TYPE, {}, unique_key="k", on_conflict="replace")

    assert [Status.CANCELLED, Status.QUEUED] == [row(first).status, row(second).status]
    assert f"replaced by job {second}" == row(first).error["message"]


def test_a_running_job_is_neither_replaced_nor_asked_to_stop():
    first = job_in(Status.RUNNING, unique_key="k")

    with pytest.raises(UniqueConflict, match="runs already"):
        jobs.enqueue(TYPE, {}, unique_key="k", on_conflict="replace")
    assert (Status.RUNNING, None) == (row(first).status, row(first).cancel_requested_at)


@transactional
def test_whoever_replaces_does_not_wait_for_a_handler_in_its_transaction():
    first = job_in(Status.RUNNING, unique_key="k")

    with own_connection() as handler, handler.transaction():
        handler.execute("SELECT FROM job WHERE id = %s FOR NO KEY UPDATE", [first])
        with pytest.raises(UniqueConflict, match="runs already"):
            jobs.enqueue(TYPE, {}, unique_key="k", on_conflict="replace")


@pytest.mark.parametrize("status", FINISHED)
def test_a_key_is_free_again_when_its_job_has_ended(status):
    job_in(status, unique_key="k")

    assert Status.QUEUED == row(jobs.enqueue(TYPE, {}, unique_key="k")).status


def test_a_key_twice_in_one_batch_is_refused_with_the_numbers_of_both():
    with pytest.raises(InvalidJob, match="/1/unique_key: job 0 of the same call"):
        jobs.enqueue_many(TYPE, [{}, {}], unique_key="k")
    assert not Job.objects.exists()

    first, second = jobs.enqueue_many(TYPE, [{}, {}], unique_key="k", on_conflict="return_existing")
    assert first == second


@transactional
def test_of_fifty_at_once_with_one_key_one_makes_the_job_and_the_others_hear_which():
    outcomes = together(50, lambda number: jobs.enqueue(TYPE, {"n": number}, unique_key="k"))

    made = [each for each in outcomes if isinstance(each, uuid.UUID)]
    refusals = [each for each in outcomes if isinstance(each, UniqueConflict)]
    assert (1, 49) == (len(made), len(refusals)), outcomes
    assert {made[0]} == {each.job_id for each in refusals}
    assert 1 == Job.objects.count()


@transactional
def test_of_fifty_at_once_that_take_the_existing_all_get_the_same_job():
    option = {"unique_key": "k", "on_conflict": "return_existing"}

    assert 1 == len(set(together(50, lambda number: jobs.enqueue(TYPE, {"n": number}, **option))))
    assert 1 == Job.objects.count()


@transactional
def test_of_fifty_at_once_that_replace_each_is_stored_and_the_last_one_waits(monkeypatch):
    """In turn each needs two rounds and no more: one to meet the other's job, one to take its place."""
    monkeypatch.setattr(enqueueing, "ROUNDS", 2)
    option = {"unique_key": "k", "on_conflict": "replace"}
    outcomes = together(50, lambda number: jobs.enqueue(TYPE, {"n": number}, **option))

    assert 50 == len({each for each in outcomes if isinstance(each, uuid.UUID)}), outcomes
    assert {"queued": 1, "cancelled": 49} == {
        status: count for status, count in selectors.by_status().items() if count}
