"""Enqueueing, in the caller's transaction, whatever the broker does; and what a person may do with a job."""

import subprocess
import sys
import threading
import time
import uuid
from datetime import UTC, datetime, timedelta

import pydantic
import pytest
from asgiref.sync import async_to_sync
from django.db import connection, transaction

from apps.jobs import publishing, selectors
from apps.jobs import services as jobs
from apps.jobs.conf import config
from apps.jobs.errors import (
    InvalidJob,
    JobBusy,
    JobNotFound,
    NotAllowedNow,
    QueueNotFound,
    UniqueConflict,
    UnknownJobType,
    UnknownQueue,
)
from apps.jobs.lifecycle import FINISHED, UNFINISHED, Status
from apps.jobs.models import Job
from apps.jobs.services import Options
from apps.jobs.transitions import insert
from tests.support import brokers, factories
from tests.support.environment import environment
from tests.support.factories import TYPE, claim, end, job_in, own_connection, registered, row, settled, worker
from tests.support.waiting import until

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("echo")]
transactional = pytest.mark.django_db(transaction=True)

PATIENCE_SECONDS = 1.0
enqueueing = sys.modules[Options.__module__]   # the package offers a function of the module's name


class Page(pydantic.BaseModel):
    number: int


@pytest.fixture
def rings(monkeypatch):
    """What was rung for, without a broker."""
    heard = []
    monkeypatch.setattr(publishing, "ring", lambda queue, *, count=1: heard.append((queue, count)))
    return heard


@pytest.fixture
def notices(monkeypatch):
    """How often the dispatcher was woken."""
    heard = []
    monkeypatch.setattr(insert, "announce", heard.append)
    return heard


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


def waiting_for(address, act):
    """Act while the broker is at `address`; return the result and the seconds that the caller waited."""
    with brokers.publishing_to(address) as publisher:
        since = time.monotonic()
        result = act()
        seconds = time.monotonic() - since
        return result, seconds, publisher


# What is stored


def test_a_job_takes_what_its_type_says_unless_told_otherwise():
    with registered("test.typed", queue="mail", priority=2, max_attempts=7, timeout=timedelta(seconds=9), payload_version=3):
        plain = row(jobs.enqueue("test.typed", {"a": 1}))
        told = row(jobs.enqueue(
            "test.typed", queue="default", priority=0, max_attempts=1, timeout=timedelta(seconds=1), tags=["x"],
            request_id="r"))

    assert ("mail", 2, 7, 9.0, 3, {"a": 1}, [], "") == (
        plain.queue, plain.priority, plain.max_attempts, plain.timeout_seconds, plain.payload_version, plain.payload,
        plain.tags, plain.request_id)
    assert ("default", 0, 1, 1.0, {}, ["x"], "r") == (
        told.queue, told.priority, told.max_attempts, told.timeout_seconds, told.payload, told.tags, told.request_id)


@pytest.mark.parametrize(("wrong", "pointer"), [
    ({"priority": 10}, "/priority"), ({"priority": -1}, "/priority"),
    ({"max_attempts": 0}, "/max_attempts"), ({"max_attempts": 1001}, "/max_attempts"),
    ({"timeout": timedelta(0)}, "/timeout_seconds"), ({"timeout": timedelta(days=8)}, "/timeout_seconds"),
    ({"delay": timedelta(seconds=-1)}, "/delay_seconds"), ({"delay": timedelta(days=4000)}, "/delay_seconds"),
    ({"delay": timedelta(1), "run_at": datetime(2030, 1, 1, tzinfo=UTC)}, "/run_at"),
    ({"run_at": datetime(2030, 1, 1)}, "/run_at"),  # noqa: DTZ001  the point of this case
    ({"unique_key": ""}, "/unique_key"), ({"unique_key": "a\0"}, "/unique_key"), ({"unique_key": "x" * 256}, "/unique_key"),
    ({"unique_key": "\ud800"}, "/unique_key"), ({"on_conflict": "ignore"}, "/on_conflict"),
    ({"tags": ["x"] * 21}, "/tags"), ({"tags": ["ok", ""]}, "/tags/1"), ({"tags": ["a\0"]}, "/tags/0"),
    ({"tags": ["\udfff"]}, "/tags/0"), ({"queue": "nowhere"}, "/queue"),
])
def test_an_option_that_cannot_be_is_refused_with_a_pointer(wrong, pointer):
    with pytest.raises(InvalidJob) as refused:
        jobs.enqueue(TYPE, {}, **wrong)

    assert [pointer] == [problem.pointer for problem in refused.value.problems]
    assert not Job.objects.exists()


def test_an_unknown_type_or_queue_is_answered_with_the_known():
    with pytest.raises(UnknownJobType) as no_type:
        jobs.enqueue("test.nothing", {})
    with pytest.raises(UnknownQueue) as no_queue:
        jobs.enqueue(TYPE, {}, queue="nowhere")

    assert TYPE in no_type.value.known
    assert "default" in no_queue.value.known


def test_a_queue_that_only_a_row_names_is_known():
    factories.on_django()("INSERT INTO job_queue (name, paused_by, paused_reason) VALUES ('extra', '', '')", {})

    assert "extra" == row(jobs.enqueue(TYPE, {}, queue="extra")).queue


def test_many_of_one_type_come_back_in_their_order():
    ids = jobs.enqueue_many(TYPE, [{"n": n} for n in range(100)])

    assert [{"n": n} for n in range(100)] == [row(each).payload for each in ids]


def test_none_of_many_is_stored_when_one_is_wrong():
    with registered("test.page", payload=Page), pytest.raises(InvalidJob) as refused:
        jobs.enqueue_many("test.page", [{"number": 1}, {"number": "one"}, {}])

    assert ["/1/payload/number", "/2/payload/number"] == [problem.pointer for problem in refused.value.problems]
    assert not Job.objects.exists()


def test_none_of_many_is_stored_when_one_key_is_taken():
    taken = jobs.enqueue(TYPE, {}, unique_key="k")

    with pytest.raises(UniqueConflict) as refused:
        jobs.place_many([(TYPE, {}, Options()), (TYPE, {}, Options(unique_key="k"))])
    assert taken == refused.value.job_id
    assert [taken] == list(Job.objects.values_list("id", flat=True))


def test_none_at_all_is_none():
    assert [] == jobs.place_many([])


def test_a_call_repeated_with_the_same_id_finds_its_own_job():
    job_id = uuid.uuid4()
    first = jobs.place(TYPE, {"n": 1}, Options(job_id=job_id, unique_key="k"))
    second = jobs.place(TYPE, {"n": 1}, Options(job_id=job_id, unique_key="k"))

    assert [(job_id, True), (job_id, False)] == [(each.id, each.created) for each in (first, second)]


@pytest.mark.parametrize("key", [None, "k"])
def test_a_repeated_call_finds_its_own_job_also_after_that_has_ended(key):
    job_id = uuid.uuid4()
    jobs.place(TYPE, {}, Options(job_id=job_id, unique_key=key))
    me = worker()
    settled(me, end(claim(me)))

    again = jobs.place(TYPE, {}, Options(job_id=job_id, unique_key=key))

    assert (job_id, False) == (again.id, again.created)
    assert 1 == Job.objects.count()


def test_a_job_can_be_enqueued_from_asynchronous_code():
    async def both():
        return [await jobs.aenqueue(TYPE, {"n": n}) for n in range(2)]

    assert [{"n": 0}, {"n": 1}] == [row(each).payload for each in async_to_sync(both)()]


# Unique keys


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


def test_a_key_twice_in_one_batch_is_a_conflict_too():
    with pytest.raises(UniqueConflict):
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


# Rings


def test_a_job_is_rung_for_after_the_commit_and_not_before(rings, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        jobs.enqueue(TYPE, {})
        assert [] == rings

    assert [("default", 1)] == rings


def test_many_jobs_are_rung_for_at_once(rings, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        jobs.enqueue_many(TYPE, [{}] * 50)

    assert [("default", 50)] == rings


@pytest.mark.parametrize(("when", "expected"), [
    ({}, ["ring"]),
    ({"run_at": datetime(2001, 1, 1, tzinfo=UTC)}, ["ring"]),
    ({"delay": timedelta(milliseconds=250)}, ["wake"]),
    ({"delay": timedelta(seconds=60)}, []),
    ({"run_at": datetime(2999, 1, 1, tzinfo=UTC)}, []),
])
def test_what_is_ready_rings_and_what_is_due_soon_wakes_the_dispatcher(
    when, expected, rings, notices, django_capture_on_commit_callbacks,
):
    with django_capture_on_commit_callbacks(execute=True):
        jobs.enqueue(TYPE, {}, **when)

    assert expected == ["ring"] * len(rings) + ["wake"] * len(notices)


@transactional
def test_a_rolled_back_transaction_leaves_neither_row_nor_message(broker):
    class Abandoned(Exception):
        pass

    def begin():
        with transaction.atomic():
            jobs.enqueue(TYPE, {})
            raise Abandoned

    with pytest.raises(Abandoned):
        begin()
    publishing.flush()

    assert not Job.objects.exists()
    assert [] == broker.keys("*")


@transactional
def test_a_committed_job_puts_a_ticket_in_its_queues_line(broker):
    jobs.enqueue(TYPE, {})
    assert publishing.flush()

    assert ["jobs.fetch"] == [ticket["headers"]["task"] for ticket in brokers.tickets(broker, "default")]


@transactional
def test_no_more_than_the_configured_tickets_stand_in_a_line(broker):
    for _ in range(3):
        jobs.enqueue_many(TYPE, [{}] * 200)
    assert publishing.flush()

    assert config().tickets == broker.llen("default")


@transactional
def test_a_crash_between_commit_and_ring_leaves_a_job_that_runs(broker):
    script = """
import os, django
django.setup()
from apps.jobs import publishing, services
publishing.ring = lambda queue, *, count=1: os._exit(9)
services.enqueue("http.request", {"method": "GET", "url": "https://example.org/"})
"""
    ended = subprocess.run([sys.executable, "-c", script], env=environment(), check=False, timeout=60)
    job = Job.objects.get()

    assert 9 == ended.returncode
    assert (Status.QUEUED, []) == (job.status, broker.keys("*"))
    assert str(job.id) == claim(worker(), queue=job.queue, types=["http.request@1"]).id


@transactional
@pytest.mark.parametrize("broken", [brokers.refused, brokers.silent])
def test_enqueueing_does_not_wait_for_a_broker_that_is_away(broken):
    with broken() as address:
        (one, many), seconds, publisher = waiting_for(
            address, lambda: (jobs.enqueue(TYPE, {}), jobs.enqueue_many(TYPE, [{}] * 100)))
        assert Status.QUEUED == row(one).status
        until(lambda: publisher.flush(0.1), message="the publisher gives up")

    assert seconds < PATIENCE_SECONDS
    assert 101 == Job.objects.filter(status=Status.QUEUED, id__in=[one, *many]).count()


@transactional
def test_enqueueing_does_not_wait_for_a_broker_that_falls_silent_later(broker, valkey):
    jobs.enqueue(TYPE, {})
    assert publishing.flush()
    valkey.stall()
    try:
        since = time.monotonic()
        job_id = jobs.enqueue(TYPE, {})
        seconds = time.monotonic() - since
    finally:
        valkey.resume()

    assert seconds < PATIENCE_SECONDS
    assert Status.QUEUED == row(job_id).status
    until(lambda: publishing.flush(0.1), message="the publisher goes on")


@transactional
def test_the_next_ring_after_an_outage_is_heard_again(broker, valkey):
    jobs.enqueue(TYPE, {})
    assert publishing.flush()
    valkey.kill()
    jobs.enqueue(TYPE, {})
    until(lambda: publishing.flush(0.1), message="the publisher gives up")
    valkey.start()
    broker.flushdb()

    def heard():
        jobs.enqueue(TYPE, {})
        publishing.flush()
        return broker.llen("default")

    assert until(heard, message="a ring reaches the broker that came back")


# What a person may do


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
