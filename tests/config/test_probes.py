"""Text that would be a script: from jobs, errors, tags, queues, files and audit, on each page that shows it, in a browser."""

import json

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from apps.jobs import services as jobs
from apps.jobs.lifecycle import Status
from apps.jobs.models import Artifact, Job, JobAttempt, Queue, StaleWrite, Worker
from core import audit
from core.api import tokens
from core.api.roles import Role
from core.ids import uuid7
from tests.support import factories
from tests.support.browser import ALL_SCRIPTS, PROBE, SCRIPTS, browser

__all__ = ["browser"]
pytestmark = pytest.mark.django_db(transaction=True)
PASSWORD = "a-long-enough-one"
QUEUE = f"<img src=x onerror=window.{PROBE}=1>"


@pytest.fixture
def shown():
    """Rows that say a script wherever somebody else's text may stand; return a word of each page and its address."""
    User.objects.create_superuser("root", password=PASSWORD)
    job_id = factories.job_in(Status.DEAD_LETTER)
    error = {"class": ALL_SCRIPTS, "message": ALL_SCRIPTS, "traceback": ALL_SCRIPTS}
    Job.objects.filter(id=job_id).update(
        payload={ALL_SCRIPTS: ALL_SCRIPTS}, result={"x": ALL_SCRIPTS}, error=error, progress={"note": ALL_SCRIPTS},
        tags=[*SCRIPTS], unique_key=ALL_SCRIPTS, queue=QUEUE, request_id=ALL_SCRIPTS, type=ALL_SCRIPTS,
    )
    Queue.objects.create(name=QUEUE, paused_at="2030-01-31T09:00:00Z", paused_by=ALL_SCRIPTS, paused_reason=ALL_SCRIPTS)
    attempt = JobAttempt.objects.create(
        job_id=job_id, number=1, fence=10**12, worker_id=uuid7(), outcome="failed", error=error,
        started_at="2030-01-31T09:00:00Z", finished_at="2030-01-31T09:00:01Z",
    )
    late = StaleWrite.objects.create(job_id=job_id, fence=1, worker_id=uuid7(), outcome=ALL_SCRIPTS[:20], at="2030-01-31T09:00:00Z")
    worker_id = factories.worker()
    Worker.objects.filter(id=worker_id).update(name=ALL_SCRIPTS, host=ALL_SCRIPTS, end_reason=ALL_SCRIPTS)
    file = Artifact.objects.create(
        id=uuid7(), job_id=job_id, name=ALL_SCRIPTS[:200], content_type="text/html", size=1, sha256="0" * 64,
        created_at="2030-01-31T09:00:00Z", expires_at="2040-01-31T09:00:00Z", file="x",
    )
    token = tokens.create(name=ALL_SCRIPTS[:100], role=Role.VIEWER).row
    entry = audit.record(
        action=ALL_SCRIPTS, target=ALL_SCRIPTS, before={ALL_SCRIPTS: ALL_SCRIPTS}, after={"reason": ALL_SCRIPTS},
        actor=audit.Actor(key=ALL_SCRIPTS, name=ALL_SCRIPTS, address=ALL_SCRIPTS, channel=ALL_SCRIPTS),
    )
    rows = {
        "jobs_job": job_id, "jobs_queue": QUEUE, "jobs_jobattempt": attempt.pk, "jobs_stalewrite": late.pk,
        "jobs_worker": worker_id, "jobs_artifact": file.pk, "core_apitoken": token.pk, "core_auditentry": entry.pk,
    }   # fmt: skip
    lists = [reverse(f"admin:{name}_changelist") for name in rows]
    pages = [reverse(f"admin:{name}_change", args=[quoted(key)]) for name, key in rows.items()]
    return [*lists, *pages, f"{lists[0]}?q={job_id}", f"{lists[0]}?q=%3Cscript%3Ewindow.{PROBE}%3D1%3C/script%3E"]


def quoted(key):
    from django.contrib.admin.utils import quote

    return quote(str(key))


def test_no_text_of_anybody_runs_on_any_page_that_shows_it(browser, shown):
    browser.log_in("root", PASSWORD)
    seen = ""

    for path in shown:
        browser.open(path)
        assert (path, browser.ran(), browser.stopped(), browser.errors) == (path, False, [], [])
        seen += browser.page.content()

    assert f"&lt;script&gt;window.{PROBE}=1&lt;/script&gt;" in seen   # it was shown, as text
    assert f"<script>window.{PROBE}" not in seen


def test_the_page_that_asks_shows_text_as_text(browser, shown):
    browser.log_in("root", PASSWORD)
    browser.open(shown[0])
    browser.page.check("input.action-select")
    browser.page.select_option("select[name=action]", "retry")
    browser.page.click("button[name=index], .actions button[type=submit]")
    browser.page.wait_for_load_state("networkidle")

    assert "Retry?" in browser.text()
    assert (browser.ran(), browser.stopped(), browser.errors) == (False, [], [])


def test_the_answers_of_the_api_are_never_a_page(browser, shown):
    job_id = str(Job.objects.filter(queue=QUEUE).values_list("id", flat=True).get())
    token = tokens.create(name="v", role=Role.ADMIN).token
    browser.page.set_extra_http_headers({"Authorization": f"Bearer {token}"})

    for path in (f"/api/v1/jobs/{job_id}", "/api/v1/jobs", "/api/v1/audit", "/api/v1/queues", "/api/v1/workers",
                 f"/api/v1/<script>window.{PROBE}=1</script>", f"/<script>window.{PROBE}=1</script>"):
        answer = browser.page.goto(browser.base + path, wait_until="networkidle")
        assert (path, browser.ran(), browser.errors) == (path, False, [])
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "json" in answer.headers["content-type"] or not path.startswith("/api")


def test_the_reference_of_the_api_shows_an_answer_as_text(browser):
    jobs.enqueue("http.request", {"method": "GET", "url": "https://example.com/"}, tags=[SCRIPTS[1]])
    token = tokens.create(name="v", role=Role.VIEWER).token
    browser.page.set_extra_http_headers({"Authorization": f"Bearer {token}"})
    browser.open("/api/v1/docs")
    browser.page.wait_for_selector(".opblock")

    listed = browser.page.locator("#operations-jobs-jobs_list")
    listed.locator(".opblock-summary-control").click()
    listed.get_by_role("button", name="Try it out").click()
    listed.get_by_role("button", name="Execute").click()
    browser.page.wait_for_selector("#operations-jobs-jobs_list .live-responses-table tbody .response-col_status")

    assert json.dumps(SCRIPTS[1])[1:-1] in listed.inner_text()
    assert (browser.ran(), browser.stopped(), browser.errors) == (False, [], [])
