"""The shortest way of a row into the database does what a cursor does, and leaves to a cursor what it cannot."""

import psycopg
import pytest
from django.db import DataError, IntegrityError, OperationalError, connection, transaction
from django.db.transaction import TransactionManagementError

from apps.jobs import publishing
from apps.jobs import services as jobs
from apps.jobs.models import Job, Queue
from apps.jobs.transitions.direct import Direct, array, straight
from tests.support.cursors import executed
from tests.support.factories import own_connection

SQL = "INSERT INTO job_queue (name, paused_by, paused_reason) VALUES (%s, %s, '')"
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def insert():
    """A statement that this connection has prepared already."""
    made = Direct(SQL)
    made.execute(["first", "direct"])
    Queue.objects.filter(name="first").delete()
    return made


@pytest.fixture
def cursors():
    """What was executed by psycopg's cursors meanwhile."""
    with executed() as seen:
        yield seen


def names():
    return sorted(Queue.objects.filter(paused_by="direct").values_list("name", flat=True))


@pytest.mark.usefixtures("echo")
@pytest.mark.parametrize("rests", [False, True])   # whether it is seen first, see `flush`
def test_a_plain_job_goes_this_way_and_is_stored_as_any_other(rests, cursors, monkeypatch):
    monkeypatch.setattr(publishing, "rests", lambda _queue: rests)
    tags = ['a"b', "c\\d", "e,f", "{g}", "NULL", "ü", " "]
    first = jobs.enqueue("test.echo", {"text": "ä\u2028'"}, tags=tags)
    cursors.clear()
    second = jobs.enqueue("test.echo", {"text": "ä\u2028'"}, tags=tags)

    assert [] == cursors
    assert [({"text": "ä\u2028'"}, tags)] * 2 == list(Job.objects.filter(id__in=[first, second]).values_list("payload", "tags"))


def test_a_row_is_committed_at_once(insert, cursors):
    insert.execute(["one", "direct"])

    assert [] == cursors
    with own_connection() as other:
        assert (1,) == other.execute("SELECT count(*) FROM job_queue WHERE name = 'one'").fetchone()


def test_it_says_how_many_rows_it_has_found_or_written(insert, cursors):
    found = Direct("SELECT FROM job_queue WHERE paused_by = %s")
    insert.execute(["one", "direct"])

    by_cursor = found.execute(["direct"])
    assert 1 == len(cursors)
    assert (1, 1, 0) == (by_cursor, found.execute(["direct"]), found.execute(["nobody"]))
    assert 1 == len(cursors)
    assert 1 == insert.execute(["two", "direct"])


def test_a_transaction_is_begun_where_it_has_to_be_and_joined_where_it_has_begun(insert, cursors):
    def fail():
        with transaction.atomic():
            insert.execute(["one", "direct"])
            cursors.clear()
            insert.execute(["two", "direct"])
            assert [] == cursors
            assert ["one", "two"] == names()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert [] == names()
    insert.execute(["three", "direct"])   # the rollback has made psycopg forget what was prepared
    assert ["three"] == names()


def test_errors_are_those_of_django(insert, cursors):
    insert.execute(["one", "direct"])

    with pytest.raises(IntegrityError, match="duplicate key") as caught:
        insert.execute(["one", "direct"])
    insert.execute(["three", "direct"])
    assert [] == cursors
    assert ("23505", "job_queue") == (caught.value.__cause__.sqlstate, caught.value.__cause__.diag.table_name)
    assert ["one", "three"] == names()


def test_what_the_server_cannot_read_as_a_value_is_a_data_error():
    dated = Direct("INSERT INTO job_queue (name, paused_by, paused_reason, paused_at) VALUES (%s, 'direct', '', %s)")
    for name, moment in (("one", "2026-01-31"), ("two", "2026-01-31")):
        dated.execute([name, moment])

    with pytest.raises(DataError, match="invalid input syntax for type timestamp"):
        dated.execute(["three", "tomorrow or so"])
    assert ["one", "two"] == names()


def test_in_a_transaction_that_is_broken_nothing_is_sent(insert):
    with transaction.atomic():
        connection.set_rollback(True)
        with pytest.raises(TransactionManagementError):
            insert.execute(["one", "direct"])


def test_a_connection_that_was_ended_is_an_operational_error_and_the_next_one_prepares_anew(insert):
    with own_connection() as other:
        other.execute("SELECT pg_terminate_backend(%s, 10000)", [connection.connection.info.backend_pid])

    with pytest.raises(OperationalError):
        insert.execute(["two", "direct"])
    connection.close()
    insert.execute(["three", "direct"])
    assert ["three"] == names()


def test_a_value_with_a_nul_is_refused_and_not_cut_off(insert):
    with pytest.raises((DataError, ValueError)):
        insert.execute(["one\0two", "direct"])
    assert [] == names()


@pytest.mark.usefixtures("echo")
def test_whoever_watches_queries_sees_them(insert, django_assert_num_queries):
    with django_assert_num_queries(2):
        insert.execute(["one", "direct"])
        jobs.enqueue("test.echo", {"text": "seen"})


def test_where_statements_may_not_be_prepared_a_cursor_executes_it(monkeypatch, cursors):
    connection.ensure_connection()
    monkeypatch.setattr(connection.connection, "prepare_threshold", None)
    for name in ("one", "two"):
        Direct(SQL).execute([name, "direct"])

    assert 2 == cursors.count(SQL)
    assert ["one", "two"] == names()


READ = """
SELECT %(number)s::bigint, %(text)s::text, %(texts)s::text[], %(number)s::bigint + 1, '2026-01-31 12:00:00+00'::timestamptz,
  '01a21849-58cc-72ee-bcd3-146cdd70833c'::uuid, 1.5::float8"""
TEXTS = ['a"b', "c\\d", "e,f", "{g}", "NULL", "ü", " ", ""]


@pytest.fixture
def own():
    with own_connection() as opened:
        opened.prepare_threshold = 1
        yield opened


def read(execute, *, text="ä", number=7):
    values = {"number": None if number is None else str(number), "text": text, "texts": array(TEXTS)}
    return execute(READ, values).fetchall()


def test_rows_are_those_of_a_cursor(own, cursors):
    execute = straight(own)
    by_cursor = [read(execute) for _ in range(2)]   # the second time it is prepared
    cursors.clear()

    assert by_cursor == [read(execute)] * 2
    assert [] == cursors
    assert [(7, "ä", TEXTS, 8)] == [row[:4] for row in read(execute)]
    assert [(None, None)] == [(row[0], row[3]) for row in read(execute, number=None)]
    assert [] == cursors


def test_on_a_connection_of_ones_own_what_a_cursor_has_to_do_is_left_to_it(own, cursors):
    execute = straight(own)
    for _ in range(2):
        read(execute)
    cursors.clear()
    with own.pipeline():
        reply = execute(READ, {"number": "7", "text": "ä", "texts": "{}"})

    assert 1 == len(cursors)
    assert "ä" == reply.fetchall()[0][1]
    with pytest.raises(psycopg.DataError):
        read(execute, text="one\0two")


def test_errors_on_a_connection_of_ones_own_are_psycopgs(own, cursors):
    execute = straight(own)
    sql = "SELECT pg_sleep(%(seconds)s::float8)"
    for _ in range(2):
        execute(sql, {"seconds": "0"})
    own.execute("SET statement_timeout = 20")
    cursors.clear()

    with pytest.raises(psycopg.errors.QueryCanceled):
        execute(sql, {"seconds": "30"})
    assert [] == cursors
    with own_connection() as other:
        other.execute("SELECT pg_terminate_backend(%s, 10000)", [own.info.backend_pid])
    with pytest.raises(psycopg.OperationalError):
        execute(sql, {"seconds": "0"})
