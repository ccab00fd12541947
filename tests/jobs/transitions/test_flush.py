"""What enqueue has returned and what a claim has seen are on the disk, although others may see a row before it is there."""

import uuid
from typing import NamedTuple

import pytest
from django.db import OperationalError, connection, transaction

from apps.jobs import publishing
from apps.jobs import services as jobs
from apps.jobs.models import Job
from apps.jobs.transitions import connection as connecting
from apps.jobs.transitions import flush, insert
from tests.support.factories import TYPE, claim, new_job, own_connection, row, worker

OFTEN = 100
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("echo")]


class Ring(NamedTuple):
    """For how many jobs it was, and what somebody else saw by then."""

    count: int
    stored: int
    end_of_log: str


@pytest.fixture
def other():
    """Somebody else, who writes nothing."""
    with own_connection() as opened:
        yield opened


@pytest.fixture
def alone(monkeypatch):
    """No ring holds back the next one, so each job is seen first."""
    monkeypatch.setattr(publishing, "rests", lambda _queue: False)


def written(other):
    """The end of the log, whether it is on the disk or not."""
    return other.execute("SELECT pg_current_wal_insert_lsn()").fetchone()[0]


def is_on_the_disk(other, place):
    return other.execute("SELECT pg_current_wal_flush_lsn() >= %s::pg_lsn", [place]).fetchone()[0]


def is_left_behind(other, act):
    """Whether a row is not on the disk when `act` is over, which returns the log's end when the row was there to be seen.

    Others' commits may take it there, so it is asked often.
    """
    return any(not is_on_the_disk(other, act()) for _ in range(OFTEN))


@pytest.fixture
def rung(monkeypatch, other):
    """The rings."""
    found = []

    def ring(_queue, *, count):
        found.append(Ring(count, other.execute("SELECT count(*) FROM job").fetchone()[0], written(other)))

    monkeypatch.setattr(publishing, "ring", ring)
    return found


@pytest.mark.usefixtures("alone")
def test_a_job_is_seen_when_it_is_rung_for_and_on_the_disk_when_enqueue_returns(other, rung):
    for number in range(1, 20):
        jobs.enqueue(TYPE, {})

        assert (1, number) == rung[-1][:2]
        assert is_on_the_disk(other, rung[-1].end_of_log)


@pytest.mark.usefixtures("alone")
def test_without_the_flush_enqueue_would_return_before_the_disk_has_it(other, rung, monkeypatch):
    def enqueue():
        jobs.enqueue(TYPE, {})
        return rung[-1].end_of_log

    assert not is_left_behind(other, enqueue)
    monkeypatch.setattr(flush, "ensure", lambda _job_id: None)
    assert is_left_behind(other, enqueue)


def test_what_a_claim_has_seen_is_on_the_disk_when_the_claim_is_answered(other):
    """So no handler begins of which a crash could leave no row. A connection that did not wait would leave both behind."""
    with connecting.connect("claims") as waiting, connecting.connect("claims") as hasty:
        me = worker()
        hasty.execute("SET synchronous_commit = off")

        def claims(by):
            job = new_job()
            assert insert.insert_seen_first(job)
            place = written(other)
            assert str(job.id) == claim(me, execute=by.execute).id
            return place

        assert not is_left_behind(other, lambda: claims(waiting))
        assert is_left_behind(other, lambda: claims(hasty))


@pytest.mark.usefixtures("alone", "rung")
def test_the_callers_transaction_waits_for_the_disk_as_it_would_anyway():
    def shown():
        with connection.cursor() as cursor:
            cursor.execute("SHOW synchronous_commit")
            return cursor.fetchone()[0]

    jobs.enqueue(TYPE, {})
    after = shown()
    with transaction.atomic():
        jobs.enqueue(TYPE, {})
        within = shown()
        assert not insert.insert_seen_first(new_job())
        assert 2 == Job.objects.count()

    assert ("on", "on") == (after, within)


def test_in_a_transaction_that_was_begun_by_hand_nothing_is_sent():
    with connection.cursor() as cursor:
        cursor.execute("BEGIN")
        try:
            assert not insert.insert_seen_first(new_job())
            cursor.execute("SELECT current_setting('synchronous_commit'), (SELECT count(*) FROM job)")
            assert ("on", 0) == cursor.fetchone()
        finally:
            cursor.execute("ROLLBACK")


def test_where_a_statement_opens_a_transaction_by_itself_nothing_is_sent():
    connection.set_autocommit(False)
    try:
        assert not insert.insert_seen_first(new_job())
        assert not Job.objects.exists()
    finally:
        connection.rollback()
        connection.set_autocommit(True)


@pytest.mark.usefixtures("alone")
def test_whoever_watches_queries_sees_one_statement(django_assert_num_queries):
    with django_assert_num_queries(1):
        jobs.enqueue(TYPE, {})


def test_while_rings_rest_a_job_is_a_single_statement(monkeypatch):
    monkeypatch.setattr(publishing, "rests", lambda _queue: True)
    monkeypatch.setattr(flush, "ensure", pytest.fail)

    assert row(jobs.enqueue(TYPE, {}))


@pytest.mark.usefixtures("alone")
def test_a_connection_that_ends_before_the_flush_is_an_error_of_the_caller(other, monkeypatch):
    """It may be stored, as after any commit whose answer was lost."""
    connection.ensure_connection()
    backend = connection.connection.info.backend_pid
    monkeypatch.setattr(publishing, "ring", lambda *_, **__: other.execute("SELECT pg_terminate_backend(%s, 10000)", [backend]))

    with pytest.raises(OperationalError):
        jobs.enqueue(TYPE, {})

    connection.close()
    assert 1 == Job.objects.count()


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("refused", [False, True])
def test_a_row_that_the_server_does_not_know_is_an_error_of_the_caller(refused, other, monkeypatch, request):
    """As when a pooler has led the flush to a standby that was promoted meanwhile."""
    if refused:
        request.getfixturevalue("unprivileged")
    monkeypatch.setattr(publishing, "ring", lambda *_, **__: other.execute("DELETE FROM job"))

    with pytest.raises(OperationalError, match="it may be lost"):
        jobs.enqueue(TYPE, {})


@pytest.fixture
def unprivileged(other, monkeypatch):
    """This connection's user may do everything here but write messages into the log."""
    monkeypatch.setattr(flush, "_refused", flush.Event())
    name = f"plain_{uuid.uuid4().hex[:8]}"
    known = "SELECT oid::regprocedure::text FROM pg_proc WHERE proname = 'pg_logical_emit_message' AND prorettype = 'pg_lsn'::regtype"
    functions = f"FUNCTION {', '.join(each for each, in other.execute(known))}"   # their arguments depend on the server's version
    other.execute(f"CREATE ROLE {name}")
    other.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {name}")
    other.execute(f"GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {name}")
    other.execute(f"REVOKE EXECUTE ON {functions} FROM PUBLIC")
    with connection.cursor() as cursor:
        cursor.execute(f"SET ROLE {name}")
    yield
    with connection.cursor() as cursor:
        cursor.execute("RESET ROLE")
    other.execute(f"GRANT EXECUTE ON {functions} TO PUBLIC")
    other.execute(f"DROP OWNED BY {name}")
    other.execute(f"DROP ROLE {name}")


@pytest.mark.usefixtures("alone", "unprivileged")
def test_for_whoever_may_not_write_messages_the_rows_lock_is_what_the_disk_gets(other, rung):
    def enqueue():
        flush._refused.clear()
        jobs.enqueue(TYPE, {})
        assert not flush.can_follow()
        return rung[-1].end_of_log

    assert not is_left_behind(other, enqueue)
    assert not insert.insert_seen_first(new_job())   # and it is not tried again
    assert OFTEN == Job.objects.count()
