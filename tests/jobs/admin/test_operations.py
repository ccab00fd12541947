import threading
import uuid

import pytest
from django.test import Client
from django.urls import reverse

from apps.jobs import services as jobs
from apps.jobs.lifecycle import Status
from apps.jobs.models import Job, Queue
from apps.jobs.selection import Selection
from apps.jobs.services import bulk
from core.audit.models import AuditEntry
from tests.jobs.admin.pressing import JOBS, ask, press, said
from tests.support import factories
from tests.support.people import logged_in, person

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(("operation", "before", "after", "told"), [
    ("retry", Status.COMPLETED, Status.QUEUED, "1 was queued again"),
    ("cancel", Status.QUEUED, Status.CANCELLED, "1 was cancelled, or asked to stop"),
    ("run", Status.SCHEDULED, Status.QUEUED, "1 was made ready"),
])   # fmt: skip
def test_an_operator_acts_on_jobs(operation, before, after, told, operator):
    job_id = factories.job_in(before)

    assert [told] == press(operator, operation, job_id)
    assert after == factories.row(job_id).status


def test_the_first_press_says_what_would_happen_and_changes_nothing(operator):
    dead, waiting, unheard_of = factories.job_in(Status.DEAD_LETTER), factories.job(), uuid.uuid4()

    answer = ask(operator, "retry", dead, waiting, unheard_of)

    foreseen = answer.context["foreseen"]
    assert 200 == answer.status_code
    assert [f"{factories.TYPE} {dead}, dead_letter"] == foreseen.agreed
    assert {(f"{factories.TYPE} {waiting}", "it is queued"), (str(unheard_of), "there is no such job")} == set(foreseen.refused)
    assert {Status.DEAD_LETTER, Status.QUEUED} == set(Job.objects.values_list("status", flat=True))
    assert 0 == AuditEntry.objects.count()


def test_a_retry_whose_key_is_taken_is_foreseen_to_be_refused(operator):
    dead = factories.job_in(Status.DEAD_LETTER, unique_key="k")
    other = factories.job(unique_key="k")

    foreseen = ask(operator, "retry", dead).context["foreseen"]

    assert [(f"{factories.TYPE} {dead}", f"job {other} has its unique key now")] == foreseen.refused


@pytest.mark.parametrize("reason", ["", "   ", "x" * 501])
def test_without_a_reason_that_can_be_kept_nothing_happens(reason, operator):
    job_id = factories.job()

    answer = operator.post(reverse(JOBS), {
        "action": "cancel", "_selected_action": [job_id], "confirm": "cancel", "reason": reason,
    })   # fmt: skip

    assert "Say why" in answer.content.decode()
    assert Status.QUEUED == factories.row(job_id).status


def test_what_is_refused_is_said_and_the_others_are_done(operator):
    waiting, ended = factories.job(), factories.job_in(Status.COMPLETED)

    told = press(operator, "retry", waiting, ended)

    assert {f"Job {waiting} is queued: retry is for completed, cancelled, dead_letter", "1 was queued again"} == set(told)
    assert Status.QUEUED == factories.row(ended).status


def test_who_did_it_and_why_is_told_to_the_audit(operator):
    job_id = factories.job_in(Status.DEAD_LETTER)

    press(operator, "retry", job_id, reason="the bank is back")

    entry = AuditEntry.objects.get()
    assert ("job.retry", f"job:{job_id}", "operator", "admin") == (
        entry.action, entry.target, entry.actor_name, entry.channel)
    assert "the bank is back" == entry.after["reason"]


def test_a_cancellation_names_who_asked_and_why(operator):
    job_id = factories.job()

    press(operator, "cancel", job_id, reason="sold out")

    assert "cancelled by operator: sold out" == factories.row(job_id).error["message"]


def test_only_an_admin_discards(operator, admin):
    job_id = factories.job_in(Status.DEAD_LETTER)

    assert 403 == ask(operator, "discard", job_id).status_code
    assert Status.DEAD_LETTER == factories.row(job_id).status
    assert ["1 was put away"] == press(admin, "discard", job_id)
    assert Status.CANCELLED == factories.row(job_id).status


def test_rows_that_are_none_and_too_many_are_refused_before_anything(operator):
    job_id = factories.job()

    assert ["There is no job x"] == press(operator, "cancel", "x")
    assert ["Choose rows and what to do with them. Nothing was changed."] == press(operator, "cancel")
    assert ["Choose rows and what to do with them. Nothing was changed."] == press(operator, "explode", job_id)
    assert 1 == len(press(operator, "cancel", job_id, *(uuid.uuid4() for _ in range(200))))
    assert Status.QUEUED == factories.row(job_id).status


def test_a_list_that_is_chosen_as_a_whole_is_not_acted_on_by_this_way(operator):
    chosen, other = factories.jobs(2)
    form = {"action": "cancel", "_selected_action": [chosen], "select_across": "1", "confirm": "cancel", "reason": "r"}

    operator.post(reverse(JOBS), form)

    assert [Status.CANCELLED, Status.QUEUED] == [factories.row(chosen).status, factories.row(other).status]


@pytest.mark.parametrize("back", ["https://evil.example/", "//evil.example/", "javascript:alert(1)"])
def test_one_comes_back_to_this_site_alone(back, operator):
    form = {"action": "cancel", "_selected_action": [factories.job()], "confirm": "cancel", "reason": "r", "back": back}

    assert reverse(JOBS) == operator.post(reverse(JOBS), form).headers["Location"]


def test_a_press_from_another_site_does_nothing():
    client = Client(enforce_csrf_checks=True)
    client.force_login(person("operator"))
    job_id = factories.job()
    form = {"action": "cancel", "_selected_action": [job_id], "confirm": "cancel", "reason": "r"}

    assert 403 == client.post(reverse(JOBS), form).status_code
    assert Status.QUEUED == factories.row(job_id).status


def test_while_nothing_may_be_changed_nothing_is(operator, settings):
    job_id = factories.job()
    settings.READ_ONLY = True

    answer = ask(operator, "cancel", job_id)

    assert 503 == answer.status_code
    assert Status.QUEUED == factories.row(job_id).status
    assert 200 == operator.get(reverse(JOBS)).status_code


def test_queues_are_paused_and_resumed_with_a_reason(operator, echo):
    assert ["1 was paused"] == press(operator, "pause", "default", model="queue", reason="the mail server moves")
    row = Queue.objects.get()
    assert ("operator", "the mail server moves") == (row.paused_by, row.paused_reason)

    assert ["1 was resumed"] == press(operator, "resume", "default", model="queue")
    assert Queue.objects.get().paused_at is None
    assert ["The queue 'default' is not paused"] == press(operator, "resume", "default", model="queue")
    assert ["queue.resume", "queue.pause"] == list(AuditEntry.objects.values_list("action", flat=True))


def test_whoever_pauses_or_resumes_a_queue_may_leave_out_why_as_in_the_api(operator, echo):
    page = ask(operator, "pause", "default", model="queue").content.decode()

    assert ("may be left out" in page, " required" in page) == (True, False)
    assert ["1 was paused"] == press(operator, "pause", "default", model="queue", reason=" ")
    assert ("operator", "") == Queue.objects.values_list("paused_by", "paused_reason").get()
    assert ["1 was resumed"] == press(operator, "resume", "default", model="queue", reason="")
    assert [] == press(operator, "pause", "default", model="queue", reason="x" * 501)
    assert Queue.objects.get().paused_at is None


def test_what_becomes_of_queues_is_foreseen(operator, echo):
    press(operator, "pause", "default", model="queue")

    assert [("nowhere", "no registered type and no row names it")] == (
        ask(operator, "pause", "nowhere", model="queue").context["foreseen"].refused)
    assert ["default"] == ask(operator, "resume", "default", model="queue").context["foreseen"].agreed


def test_an_operation_has_a_button_for_whom_it_is_for(viewer, operator, admin):
    address = reverse("admin:jobs_job_change", args=[factories.job()])
    shown = {}
    for name, client in {"viewer": viewer, "operator": operator, "admin": admin}.items():
        shown[name] = [each.name for each in client.get(address).context["operations"]]

    assert {"viewer": [], "operator": ["retry", "cancel", "run"], "admin": ["retry", "cancel", "run", "discard"]} == shown


def test_an_action_on_all_that_match_says_so_when_another_job_has_its_key(operator, echo):
    key = f"{bulk.TYPE}:retry:{Selection(status=Status.DEAD_LETTER).digest()}"
    squatter = jobs.enqueue(echo.name, unique_key=key)
    address = reverse("admin:jobs_bulk_begin", query={"action": "retry", "status": "dead_letter"})
    form = {**dict(operator.get(address).context["hidden"]), "reason": "r"}

    told = said(operator.post(address, form, follow=True))

    assert [f"Nothing was begun: job {squatter} is unfinished and has the unique_key '{key}'"] == told


@pytest.mark.django_db(transaction=True)
def test_of_two_operators_who_press_at_once_one_is_told_of_the_other():
    people = [logged_in(person("operator", name=name)) for name in ("ann", "bob")]
    job_id = factories.job_in(Status.DEAD_LETTER)
    ready, told = threading.Barrier(2), {}

    def one(number, client):
        try:
            ready.wait(10)
            told[number] = press(client, "retry", job_id)
        finally:
            factories.clean_connection()

    threads = [threading.Thread(target=one, args=each) for each in enumerate(people)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [
        ["1 was queued again"],
        [f"Job {job_id} is queued: retry is for completed, cancelled, dead_letter"],
    ] == sorted(told.values())
    assert ["job.retry"] == list(AuditEntry.objects.filter(target=f"job:{job_id}").values_list("action", flat=True))
    assert 10 == factories.row(job_id).max_attempts   # five more, once


