"""The admin in a real browser: on a desk and on a phone, under its policy, with hostile text in every column."""

import json
from datetime import timedelta

import pytest
from django.core.files.base import ContentFile
from django.db import connection
from django.urls import reverse
from django.utils import timezone

from apps.jobs.lifecycle import AttemptOutcome, Status
from apps.jobs.models import Artifact, Bulk, Job, JobAttempt, Queue, StaleWrite, Worker
from apps.jobs.selection import Selection
from apps.jobs.services import artifacts, bulk
from apps.jobs.testing.handling import FakeContext
from core import audit
from core.ids import uuid7
from core.locking import looking
from core.locking.models import key_of
from core.locking.shared import shared
from tests.support import factories
from tests.support.browser import ALL_SCRIPTS, browser
from tests.support.people import person
from tests.support.waiting import until

__all__ = ["browser"]
pytestmark = pytest.mark.django_db(transaction=True)
DESK, PHONE = {"width": 1300, "height": 900}, {"width": 390, "height": 844}
LONG = "a-very-long-name-without-any-break-" * 8
LISTS = ("jobs_job", "jobs_jobattempt", "jobs_stalewrite", "jobs_queue", "jobs_worker", "jobs_artifact", "jobs_bulk",
         "core_apitoken", "core_auditentry", "core_lock")   # fmt: skip


@pytest.fixture
def seen(browser):
    """A browser in which an admin is logged in."""
    user = person("admin", password="in the tests alone", is_superuser=True)   # who sees Django's own pages too
    browser.log_in(user.get_username(), "in the tests alone")
    return browser


def hostile(text):
    """Store a row of each kind that holds a text wherever somebody else may have written it."""
    from core.api import tokens
    from core.api.roles import Role

    held = factories.worker(name=text)
    dead = factories.job_in(Status.DEAD_LETTER)
    error = {"class": text, "message": text, "traceback": text}
    Job.objects.filter(id=dead).update(
        type=text, queue=text, tags=[text], unique_key=text, payload={text: [text]}, result={text: text}, error=error,
        progress={"note": text}, request_id=text, worker_id=held,
    )
    JobAttempt.objects.create(
        job_id=dead, number=1, fence=9_999, worker_id=held, outcome=AttemptOutcome.FAILED, error=error, finished_at=timezone.now(),
    )
    StaleWrite.objects.create(job_id=dead, fence=1, worker_id=held, outcome=text, at=timezone.now())
    Queue.objects.create(name=text, paused_at=timezone.now(), paused_by=text, paused_reason=text)
    Worker.objects.filter(id=held).update(queues=[text], types={text: 1}, host=text, code_version=text)
    artifact = artifacts.save("a.txt", ContentFile(b"text"), job_id=dead)
    Artifact.objects.filter(id=artifact.id).update(name=text, content_type=text)
    tokens.create(name=text[:100], role=Role.VIEWER)
    actor = audit.Actor(key=text, name=text, role=text, channel=text, address=text)
    with audit.acting(actor):
        begun = bulk.begin("retry", Selection(tag=text[:200]), reason=text, bulk_id=uuid7())
        audit.record(action="job.retry", target=text, after={text: text, "reason": text})
    Bulk.objects.filter(id=begun.id).update(refusals=[text])
    shared().acquire(f"{text[:200]} {uuid7()}", owner=text)   # its row stays, and other tests take other names
    return dead


def pages():
    """Return the address of each list, and of the newest row in it."""
    found = [reverse("admin:index"), *(reverse(f"admin:{model}_changelist") for model in LISTS)]
    for model in (Job, JobAttempt, StaleWrite, Queue, Worker, Artifact):
        row = model.objects.order_by("pk").last()
        found.append(reverse(f"admin:jobs_{model._meta.model_name}_change", args=[quoted(row.pk)]))
    found.append(reverse("admin:core_lock_change", args=[quoted(held_lock())]))
    found.append(reverse("admin:jobs_bulk_change", args=[Bulk.objects.get().pk]))
    found.append(reverse("admin:core_auditentry_change", args=[audit_id()]))
    found.append(reverse("admin:jobs_bulk_begin", query={"action": "retry", "status": "dead_letter"}))
    found.append(reverse("admin:jobs_job_changelist", query={"q": "tag:x", "type": "y", "status": "dead_letter", "since": "day"}))
    return found


def quoted(key):
    from django.contrib.admin.utils import quote

    return quote(key)


def held_lock():
    found = max(looking.everything(held=True, most=1000), key=lambda each: each.since)   # those of other tests may be held still
    return key_of(found.name, found.token)


def audit_id():
    with connection.cursor() as cursor:
        cursor.execute("SELECT max(id) FROM audit_entry")
        return cursor.fetchone()[0]


@pytest.mark.parametrize("name", [
    "auth_user_changelist", "auth_user_add", "auth_group_changelist", "auth_group_add", "django_celery_beat_periodictask_changelist",
    "django_celery_beat_periodictask_add", "django_celery_beat_crontabschedule_add", "password_change",
])   # fmt: skip
def test_djangos_own_pages_need_nothing_that_the_policy_stops(name, seen):
    for size in (DESK, PHONE):
        seen.page.set_viewport_size(size)
        seen.open(reverse(f"admin:{name}"))

        assert (seen.stopped(), seen.errors, overflow(seen.page)) == ([], [], 0)


def overflow(page) -> int:
    """Return by how many pixels the page is wider than its window."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


@pytest.mark.parametrize("text", [ALL_SCRIPTS, LONG], ids=["scripts", "long"])
def test_no_text_of_others_runs_or_breaks_a_page(text, seen):
    hostile(text)
    wrong = {}
    for size in (DESK, PHONE):
        seen.page.set_viewport_size(size)
        for address in pages():
            seen.open(address)
            found = {"ran": seen.ran(), "stopped": seen.stopped(), "wider": overflow(seen.page), "errors": list(seen.errors)}
            if found != {"ran": False, "stopped": [], "wider": 0, "errors": []}:
                wrong[size["width"], address] = found

    assert {} == wrong


def test_on_a_phone_each_field_of_each_list_says_what_it_is(seen):
    hostile("ordinary-text")
    seen.page.set_viewport_size(PHONE)
    nameless = {}
    for model in LISTS:
        seen.open(reverse(f"admin:{model}_changelist"))
        nameless[model] = seen.page.evaluate("""() => [...document.querySelectorAll("#result_list tbody tr:first-child > [class*=field-]")]
            .filter(cell => ["", "none", '""'].includes(getComputedStyle(cell, "::before").content)).map(cell => cell.className)""")

    assert {model: [] for model in LISTS} == nameless


def test_on_a_desk_no_list_has_to_be_moved_sideways(seen, echo):
    hostile("ordinary-text")
    for status in Status:
        factories.job_in(status, tags=["vip", "europe"])
    seen.page.set_viewport_size(DESK)
    wide = {}
    for model in LISTS:
        seen.open(reverse(f"admin:{model}_changelist"))
        if more := seen.page.evaluate("(list => list.scrollWidth - list.clientWidth)(document.querySelector('.results'))"):
            wide[model] = more

    assert {} == wide


def test_text_of_others_is_shown_as_it_is(seen):
    dead = hostile(ALL_SCRIPTS)

    seen.open(reverse("admin:jobs_job_change", args=[dead]))

    assert json.dumps({ALL_SCRIPTS: [ALL_SCRIPTS]}, indent=2, ensure_ascii=False).split() == (
        seen.page.inner_text(".field-payload_text .lw-text").split())


def test_a_script_that_got_into_a_page_would_be_stopped_and_seen(seen):
    """The guard of this file: the policy stops it, and the probe tells."""
    seen.open(reverse("admin:jobs_job_changelist"))
    seen.page.evaluate("""() => {
        const script = document.createElement("script");
        script.textContent = "window.probed = 1";
        document.body.append(script);
        document.body.insertAdjacentHTML("beforeend", "<img src=x onerror='window.probed=1'><p style='color:red'>x</p>");
    }""")
    until(lambda: len(seen.stopped()) >= 2, timeout=10)

    assert not seen.ran()
    seen.page.evaluate("window.probed = 1")
    assert seen.ran()


def test_somebody_chooses_jobs_confirms_with_a_reason_and_sees_what_was_done(seen):
    dead, waiting = factories.job_in(Status.DEAD_LETTER), factories.job()
    for size in (DESK, PHONE):
        seen.page.set_viewport_size(size)
        seen.open(reverse("admin:jobs_job_changelist"))
        for box in seen.page.query_selector_all(".action-select"):
            box.check()
        seen.page.select_option("select[name=action]", "retry")
        seen.page.click("button[name=index]")
        seen.page.wait_for_selector("#reason")

    assert "1 would be queued again, 1 would be refused" in seen.text()
    assert overflow(seen.page) == 0
    seen.page.fill("#reason", "by a test")
    seen.page.click(".submit-row button")
    seen.page.wait_for_selector(".messagelist")
    assert "1 was queued again" in seen.text()
    assert f"Job {waiting} is queued" in seen.text()
    assert Status.QUEUED == factories.row(dead).status


def test_a_page_of_progress_shows_itself_anew_until_all_is_done_and_can_be_stopped(seen):
    for _ in range(4):
        factories.job_in(Status.DEAD_LETTER)
    seen.open(reverse("admin:jobs_bulk_begin", query={"action": "retry", "status": "dead_letter"}))
    assert "Would be queued again" in seen.text()
    seen.page.fill("#reason", "the bank is back")
    seen.page.click(".submit-row button")
    seen.page.wait_for_selector(".lw-progress")
    begun = Bulk.objects.get()
    assert "the bank is back" in seen.text()

    bulk.perform(FakeContext(type=bulk.TYPE, id=begun.id, timeout=timedelta(minutes=1)), batch=2)
    seen.page.get_by_text("4 of 4").wait_for(timeout=20_000)
    assert seen.stopped() == []

    seen.page.click("button:text('Stop')")
    seen.page.get_by_text("All done.").wait_for(timeout=20_000)
    assert Status.CANCELLED == factories.row(begun.id).status
