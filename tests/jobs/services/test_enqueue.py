"""What is stored of a job, and what is refused."""

import sys
import uuid
from datetime import UTC, datetime, timedelta

import pydantic
import pytest
from asgiref.sync import async_to_sync
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from apps.jobs import services as jobs
from apps.jobs.errors import (
    InvalidJob,
    UniqueConflict,
    UnknownJobType,
    UnknownQueue,
)
from apps.jobs.models import Job
from apps.jobs.services import Enqueued, Options
from tests.support import factories
from tests.support.factories import TYPE, claim, end, registered, row, settled, worker

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("echo")]
transactional = pytest.mark.django_db(transaction=True)
enqueueing = sys.modules[Enqueued.__module__]   # the package offers a function of the module's name
UNSTORABLE = 666


@pytest.fixture
def picky():
    """A database that refuses a payload which we do not."""
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE job ADD CONSTRAINT picky CHECK (payload->>'n' <> '{UNSTORABLE}')")
        yield
        cursor.execute("ALTER TABLE job DROP CONSTRAINT picky")


class Page(pydantic.BaseModel):
    number: int


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
    assert (taken, "/1/unique_key") == (refused.value.job_id, refused.value.pointer)
    assert [taken] == list(Job.objects.values_list("id", flat=True))


def test_jobs_of_one_call_with_one_key_are_told_by_their_numbers():
    keyed = (TYPE, {}, Options(unique_key="k"))

    with pytest.raises(InvalidJob) as refused:
        jobs.place_many([(TYPE, {}, Options()), keyed, (TYPE, {}, Options(unique_key="other")), keyed])

    (problem,) = refused.value.problems
    assert ("/3/unique_key", True) == (problem.pointer, problem.detail.startswith("job 1 of the same call has it too"))
    assert not Job.objects.exists()


@pytest.mark.parametrize(("on_conflict", "left"), [("return_existing", 1), ("replace", 2)])
def test_jobs_of_one_call_may_share_a_key_when_they_say_what_then(on_conflict, left):
    jobs.enqueue_many(TYPE, [{}, {}], unique_key="k", on_conflict=on_conflict)

    assert (left, 1) == (Job.objects.count(), Job.objects.filter(finished_at=None).count())


def test_none_at_all_is_none():
    assert [] == jobs.place_many([])
    assert [] == jobs.enqueue_many(TYPE, [])


@transactional
def test_a_job_outside_any_transaction_costs_one_statement():
    jobs.enqueue(TYPE, {})   # connects
    with CaptureQueriesContext(connection) as sent:
        jobs.enqueue(TYPE, {"n": 1}, tags=["x"])
        jobs.enqueue_many(TYPE, [{"n": n} for n in range(100)])

    assert 2 == len(sent)
    assert 102 == Job.objects.count()


@transactional
def test_the_server_plans_it_once_a_connection():
    for n in range(20):
        jobs.enqueue(TYPE, {"n": n})
    with connection.cursor() as cursor:
        cursor.execute("SELECT generic_plans + custom_plans FROM pg_prepared_statements WHERE statement LIKE '%INSERT INTO job %'")
        plans = cursor.fetchall()

    assert len(plans) in (1, 2)   # once more where a worker sees the row first
    assert 20 == sum(count for count, in plans)


@transactional
@pytest.mark.usefixtures("picky")
def test_more_than_one_statement_takes_are_stored_all_or_none(monkeypatch):
    monkeypatch.setattr(enqueueing, "CHUNK", 10)
    many = [{"n": n} for n in range(25)]
    with pytest.raises(IntegrityError):
        jobs.enqueue_many(TYPE, [*many, {"n": UNSTORABLE}])
    assert not Job.objects.exists()

    ids = jobs.enqueue_many(TYPE, many)

    assert many == [row(each).payload for each in ids]
    assert ids == list(Job.objects.order_by("priority", "run_at", "id").values_list("id", flat=True))


@transactional
def test_large_payloads_are_sent_by_several_statements(monkeypatch):
    monkeypatch.setattr(enqueueing, "CHUNK_CHARACTERS", 1000)
    many = [{"n": n, "text": "x" * 300} for n in range(10)]
    jobs.enqueue(TYPE, {})   # connects
    with CaptureQueriesContext(connection) as sent:
        ids = jobs.enqueue_many(TYPE, many)

    assert 4 == sum("INSERT INTO job " in each["sql"] for each in sent.captured_queries)
    assert many == [row(each).payload for each in ids]


@transactional
@pytest.mark.usefixtures("picky")
def test_what_the_database_refuses_ends_the_callers_transaction_and_not_the_connection():
    """As any query of Django's that fails in an atomic block."""
    def begin():
        with transaction.atomic():
            jobs.enqueue(TYPE, {})
            jobs.enqueue(TYPE, {"n": UNSTORABLE})

    with pytest.raises(IntegrityError):
        begin()

    jobs.enqueue(TYPE, {"n": 1})
    assert [{"n": 1}] == list(Job.objects.values_list("payload", flat=True))


def test_payloads_of_any_form_come_back_as_they_were():
    forms = [None, [], {"a": 'quote " backslash \\ brace } comma , \n'}, [1, [2, {"b": None}]], "text", 1.5, True, {"ü": "\u2028😀"}]

    assert [{}, *forms[1:]] == [row(each).payload for each in jobs.enqueue_many(TYPE, forms)]


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
