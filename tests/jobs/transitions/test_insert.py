"""New rows."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import IntegrityError, connection, transaction

from apps.jobs.lifecycle import Status
from apps.jobs.models import Job
from apps.jobs.transitions import insert
from apps.jobs.transitions.statement import on_django
from core.ids import uuid7
from tests.support.factories import job, job_in, jobs, new_job, row

pytestmark = pytest.mark.django_db


def test_a_job_without_delay_is_ready_at_once():
    found = row(job())

    assert (Status.QUEUED, 0, None, None) == (found.status, found.attempt, found.fence, found.worker_id)


@pytest.mark.parametrize("later", [{"delay_seconds": 60.0}, {"run_at": datetime(2999, 1, 1, tzinfo=UTC)}])
def test_a_job_of_a_later_time_is_scheduled(later):
    assert Status.SCHEDULED == row(job(**later)).status


def test_a_moment_that_has_passed_makes_a_job_ready():
    assert Status.QUEUED == row(job(run_at=datetime(2001, 1, 1, tzinfo=UTC))).status


def test_the_delay_counts_from_the_databases_clock():
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        before = cursor.fetchone()[0]

    found = row(job(delay_seconds=60.0))

    assert timedelta(seconds=60) <= found.run_at - before < timedelta(seconds=90)


def test_no_two_rows_of_one_statement_share_their_place_in_the_order():
    ids = jobs(500)

    places = Job.objects.filter(id__in=ids).order_by("priority", "run_at", "id")

    assert len(set(places.values_list("run_at", flat=True))) > 1
    assert ids == [each.id for each in places]


def test_a_second_insert_of_the_same_id_changes_nothing():
    first = new_job(payload='{"first": true}')
    insert.insert(on_django(), [first], tags=["[]"]).get()

    again = insert.insert(on_django(), [new_job(id=first.id, payload='{"first": false}')], tags=["[]"]).get()

    assert 0 == len(again)
    assert {"first": True} == row(first.id).payload


@pytest.mark.parametrize("status", [Status.SCHEDULED, Status.QUEUED, Status.RUNNING, Status.RETRYING])
def test_an_unfinished_job_keeps_its_unique_key_from_others(status):
    first = job_in(status, unique_key="k")
    other = new_job(unique_key="k")

    assert 0 == len(insert.insert(on_django(), [other], tags=["[]"]).get())
    assert {"k": first} == insert.holders(on_django(), keys=["k"]).get()


@pytest.mark.parametrize("status", [Status.COMPLETED, Status.CANCELLED, Status.DEAD_LETTER])
def test_a_finished_job_gives_its_unique_key_free(status):
    job_in(status, unique_key="k")

    second = job(unique_key="k")

    assert {"k": second} == insert.holders(on_django(), keys=["k"]).get()


def test_tags_of_each_row_stay_its_own():
    first, second = new_job(tags=["a", "b"]), new_job(tags=[])
    insert.insert(on_django(), [first, second], tags=['["a", "b"]', "[]"]).get()

    assert [["a", "b"], []] == [row(first.id).tags, row(second.id).tags]


@pytest.mark.parametrize(("wrong", "constraint"), [
    ({"status": "lost"}, "job_status_known"),
    ({"status": "completed"}, "job_finished_has_its_time"),
    ({"finished_at": datetime(2001, 1, 1, tzinfo=UTC)}, "job_finished_has_its_time"),
    ({"status": "running"}, "job_running_is_held"),
    ({"status": "running", "fence": 1}, "job_running_is_held"),
    ({"status": "running", "worker_id": uuid7()}, "job_running_is_held"),
    ({"priority": 10}, "job_priority_range"),
    ({"priority": -1}, "job_priority_range"),
])
def test_the_table_itself_refuses_a_row_that_contradicts_itself(wrong, constraint):
    job_id = job()

    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        Job.objects.filter(id=job_id).update(**wrong)


def test_the_fence_is_drawn_from_a_sequence_without_a_cache():
    with connection.cursor() as cursor:
        cursor.execute("SELECT cache_size, increment_by, cycle FROM pg_sequences WHERE sequencename = 'job_fence'")
        assert (1, 1, False) == cursor.fetchone()


def test_a_row_is_in_one_hot_index_at_most_and_a_finished_one_in_none():
    hot = ("job_ready", "job_due", "job_held")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT indexrelid::regclass::text, pg_get_expr(indpred, indrelid) FROM pg_index"
            " WHERE indexrelid::regclass::text = ANY(%s)", [list(hot)])
        conditions = dict(cursor.fetchall())
        for status in Status:
            job_id = job_in(status)
            cursor.execute(
                f"SELECT {', '.join(f'({conditions[name]})::int' for name in hot)} FROM job WHERE id = %s", [job_id])
            inside = sum(cursor.fetchone())
            assert (0 if status in {"completed", "cancelled", "dead_letter"} else 1) == inside


def test_rows_go_in_by_their_keys_whatever_their_order():
    """Two that insert the same keys in different orders would wait for each other, and one of them would fail."""
    keys = ["c", None, "a", "b", None]
    rows = [new_job(unique_key=key) for key in keys]
    insert.insert(on_django(), rows, tags=["[]"] * 5).get()

    with connection.cursor() as cursor:
        cursor.execute("SELECT unique_key FROM job ORDER BY ctid")
        went_in = [key for key, in cursor.fetchall()]
    places = Job.objects.order_by("priority", "run_at", "id").values_list("unique_key", flat=True)

    assert [None, None, "a", "b", "c"] == went_in
    assert keys == list(places)
