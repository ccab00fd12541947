from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from apps.jobs.lifecycle import AttemptOutcome, Status
from apps.jobs.models import Artifact, Bulk, Job, JobAttempt, Queue, StaleWrite, Worker
from tests.jobs.admin.pressing import JOBS, listed, rows, said
from tests.support import factories
from tests.support.people import logged_in, person

pytestmark = pytest.mark.django_db
MODELS = (Job, JobAttempt, StaleWrite, Queue, Worker, Artifact, Bulk)


def name_of(model) -> str:
    return model._meta.model_name


@pytest.mark.parametrize("model", MODELS)
def test_staff_sees_every_list_and_can_add_change_and_delete_nothing(model, viewer):
    factories.job()
    Queue.objects.create(name="q")

    assert 200 == viewer.get(reverse(f"admin:jobs_{name_of(model)}_changelist")).status_code
    assert 403 == viewer.get(reverse(f"admin:jobs_{name_of(model)}_add")).status_code


@pytest.mark.parametrize("flags", [{"is_staff": False}, {"is_active": False}])
def test_others_do_not_come_in(flags):
    client = logged_in(person("admin", **flags))

    assert 302 == client.get(reverse(JOBS)).status_code


def test_a_job_is_found_by_its_whole_id_and_by_no_part_of_it(viewer):
    wanted, _ = factories.jobs(2)

    assert [wanted] == listed(viewer, q=str(wanted))
    assert [wanted] == listed(viewer, q=f" {str(wanted).upper()} ")
    assert [] == listed(viewer, q=str(wanted)[:8])
    assert [] == listed(viewer, q="%")


def test_a_job_is_found_by_its_unique_key_also_after_its_end(viewer):
    wanted = factories.job_in(Status.COMPLETED, unique_key="invoice:7")
    factories.job(unique_key="invoice:77")

    assert [wanted] == listed(viewer, q="invoice:7")
    assert [wanted] == listed(viewer, q="key:invoice:7")


def test_jobs_are_found_by_a_whole_tag_and_by_the_beginning_of_their_type(viewer):
    tagged = factories.job(tags=["vip", "eu"])
    typed = factories.job(type="mail.send")
    factories.job(tags=["vi"])

    assert [tagged] == listed(viewer, q="vip")
    assert [tagged] == listed(viewer, tag="eu")
    assert [typed] == listed(viewer, q="mail.")
    assert [typed] == listed(viewer, q="type:mail")
    assert [] == listed(viewer, q="tag:mail")


def test_what_is_searched_and_what_is_narrowed_are_not_mixed_up(viewer):
    factories.job(tags=["a"])

    answer = viewer.get(reverse(JOBS), {"tag": "b", "q": "tag:a"})

    assert [] == list(answer.context["cl"].result_list)
    assert ["The list is narrowed to the tag 'b' already, and 'a' is searched"] == said(answer)


def test_lists_are_narrowed_by_status_queue_type_and_any_mixture(viewer):
    waiting, dead = factories.job(), factories.job_in(Status.DEAD_LETTER, queue="other")
    done = factories.job_in(Status.COMPLETED, type="other.type")

    assert [done, dead, waiting] == listed(viewer)
    for status, ids in {"queued": [waiting], "dead_letter": [dead], "completed": [done], "running": []}.items():
        assert ids == listed(viewer, status=status)
    assert [dead] == listed(viewer, queue="other")
    assert [done] == listed(viewer, type="other.type")
    assert [done] == listed(viewer, type="other.type", status="completed", queue="default")
    assert [] == listed(viewer, type="other.type", status="queued")
    assert [] == listed(viewer, type="http.request")


def test_jobs_are_narrowed_by_when_they_were_made(viewer):
    old, new = factories.jobs(2)
    Job.objects.filter(id=old).update(created_at=timezone.now() - timedelta(hours=2))
    an_hour_ago = timezone.now() - timedelta(hours=1)
    written = an_hour_ago.strftime("%Y-%m-%dT%H:%M:%S")

    assert [new] == listed(viewer, after=written)
    assert [old] == listed(viewer, before=an_hour_ago.isoformat())
    assert [new] == listed(viewer, since="hour")
    assert [new, old] == listed(viewer, since="day")


@pytest.mark.parametrize("query", [
    {"after": "yesterday"}, {"since": "year"}, {"status": "lost"}, {"worker": "x"}, {"tag": "a\0b"}, {"p": "after.x"},
    {"p": "after.WyJhIiwiYiJd"}, {"p": "before."}, {"p": "after.WyIyMDI2LTExLTI1VDE4OjAwOjAwIiwgIngiXQ"},
])
def test_what_a_list_cannot_be_asked_is_said_and_shows_no_rows(query, viewer):
    factories.job()

    answer = viewer.get(reverse(JOBS), query)

    assert [] == list(answer.context["cl"].result_list)
    assert 1 == len(said(answer))


@pytest.mark.parametrize("lookup", ["payload__icontains", "status__exact", "error__message", "id__gt", "worker_id__isnull"])
def test_a_column_that_no_index_answers_is_not_searched_by_whoever_writes_the_address(lookup, viewer):
    assert 400 == viewer.get(reverse(JOBS), {lookup: "x"}).status_code


def test_the_order_is_the_indexs_whatever_is_asked(viewer):
    first, second = factories.job(priority=1), factories.job(priority=9)

    assert [second, first] == listed(viewer, o="5")
    assert [second, first] == listed(viewer, o="-5")


@pytest.mark.parametrize("model", MODELS)
def test_no_list_counts_its_table(model, viewer):
    factories.jobs(3)
    with CaptureQueriesContext(connection) as seen:
        viewer.get(reverse(f"admin:jobs_{name_of(model)}_changelist"))

    counts = [query["sql"] for query in seen if "COUNT(" in query["sql"].upper() and "LIMIT" not in query["sql"].upper()]
    assert [] == counts


def pages(client, **query):
    """Turn a list over to its end, and back to its beginning."""
    there, back = [], []
    answer = client.get(reverse(JOBS), query)
    while True:
        found = answer.context["cl"]
        there.append([job.pk for job in found.result_list])
        if not found.older():
            break
        answer = client.get(reverse(JOBS) + found.older())
    while answer.context["cl"].newer():
        answer = client.get(reverse(JOBS) + answer.context["cl"].newer())
        back.append([job.pk for job in answer.context["cl"].result_list])
    return there, back


@pytest.mark.parametrize("query", [{}, {"status": "queued"}, {"queue": "default"}, {"type": factories.TYPE, "status": "queued"}])
def test_a_list_is_turned_over_by_its_rows_there_and_back(query, viewer, monkeypatch):
    from apps.jobs.admin.jobs import JobAdmin

    monkeypatch.setattr(JobAdmin, "list_per_page", 3)
    ids = factories.jobs(8)[::-1]

    there, back = pages(viewer, **query)

    assert [ids[:3], ids[3:6], ids[6:]] == there
    assert [ids[3:6], ids[:3]] == back


def test_rows_that_come_meanwhile_shift_nothing(viewer, monkeypatch):
    from apps.jobs.admin.jobs import JobAdmin

    monkeypatch.setattr(JobAdmin, "list_per_page", 2)
    ids = factories.jobs(4)[::-1]
    older = viewer.get(reverse(JOBS)).context["cl"].older()
    factories.jobs(5)

    second = viewer.get(reverse(JOBS) + older).context["cl"]

    assert ids[2:] == [job.pk for job in second.result_list]


def test_what_is_rare_is_looked_for_in_windows_and_the_next_page_looks_further(viewer, monkeypatch):
    from core import windows

    wanted = factories.job_in(Status.COMPLETED)
    factories.jobs(9)
    monkeypatch.setattr(windows.Walk.go, "__kwdefaults__", {**windows.Walk.go.__kwdefaults__, "window": 4, "seconds": 0.0})

    first = viewer.get(reverse(JOBS), {"status": "completed"})
    assert [] == list(first.context["cl"].result_list)
    assert "Look further" in first.content.decode()

    there, _ = pages(viewer, status="completed")
    assert [[], [], [wanted]] == there


def test_an_attempt_and_a_late_write_are_found_by_their_job(viewer):
    wanted, other = factories.job_in(Status.RETRYING), factories.job_in(Status.RETRYING)
    for job_id in (wanted, other):
        StaleWrite.objects.create(job_id=job_id, fence=1, outcome=AttemptOutcome.COMPLETED, at=timezone.now())

    for model in ("jobattempt", "stalewrite"):
        assert [wanted] == [row.job_id for row in rows(viewer, model, q=str(wanted))]
        assert 2 == len(rows(viewer, model))
    assert [] == rows(viewer, "jobattempt", outcome="timed_out")
    assert 2 == len(rows(viewer, "jobattempt", outcome="failed"))
    assert [] == rows(viewer, "stalewrite", before="2001-01-01T00:00")


def test_workers_are_told_apart_by_whether_they_live(viewer):
    from apps.jobs.transitions import presence
    from apps.jobs.transitions.statement import on_django

    alive, silent, ended = factories.worker(name="a"), factories.worker(name="b", lease_seconds=0), factories.worker(name="c")
    presence.end(on_django(), worker=ended, reason="test")

    for state, worker in {"alive": alive, "silent": silent, "ended": ended}.items():
        assert [worker] == [row.id for row in rows(viewer, "worker", state=state)]
        assert state in viewer.get(reverse("admin:jobs_worker_change", args=[worker])).content.decode()
    assert [silent] == [row.id for row in rows(viewer, "worker", q="b")]
    assert [alive] == [row.id for row in rows(viewer, "worker", q=str(alive))]


def test_the_jobs_of_a_worker_are_listed(viewer):
    running = factories.job_in(Status.RUNNING)
    factories.job_in(Status.RUNNING)

    assert [running] == listed(viewer, worker=factories.row(running).worker_id)


def test_queues_are_listed_with_what_waits_in_them_also_those_without_a_row(viewer, echo):
    factories.jobs(2)
    factories.job(queue="unheard-of")
    Queue.objects.create(name="paused", paused_at=timezone.now())

    found = {row.name: row.length.waiting for row in rows(viewer, "queue")}

    assert {"default": 2, "unheard-of": 1, "paused": 0} == {name: found[name] for name in ("default", "unheard-of", "paused")}
    assert ["paused"] == [row.name for row in rows(viewer, "queue", state="paused")]
    assert 200 == viewer.get(reverse("admin:jobs_queue_change", args=["unheard-of"])).status_code
