"""A type may ask for more than the route does: what the platform does for itself is for admins to ask for."""

import pytest

from apps.jobs import registry, testing
from apps.jobs import services as jobs
from apps.jobs.admin.jobs import OPERATIONS
from apps.jobs.lifecycle import Status
from apps.jobs.models import Job
from core import audit
from core.api.roles import Role
from core.audit.models import AuditEntry
from tests.support import factories
from tests.support.people import logged_in, person

pytestmark = pytest.mark.django_db
V1 = "/api/v1"
PRUNE = {"type": "system.prune"}
BULK = {"type": "system.bulk", "payload": {"action": "discard", "filter": {}, "by": "x", "reason": "y"}}


def test_all_types_of_the_platform_itself_ask_for_an_admin():
    system = [each for each in registry.all_types() if each.name.startswith("system.")]

    assert {"system.prune": Role.ADMIN, "system.bulk": Role.ADMIN} == {each.name: each.enqueue_role for each in system}


@pytest.mark.parametrize("body", [PRUNE, BULK])
def test_an_operator_may_not_ask_for_them_and_an_admin_may(body, operator, admin):
    answers = [
        operator.post(f"{V1}/jobs", body), operator.post(f"{V1}/jobs/bulk", {"jobs": [{"type": "http.request", "payload": {
            "url": "https://example.com/"}}, body]}),
    ]

    assert [403, 403] == [answer.status_code for answer in answers]
    assert f"to enqueue this job of {body['type']} needs the role admin" == answers[0].json()["detail"]
    assert (0, 0) == (Job.objects.count(), AuditEntry.objects.filter(action="job.enqueue").count())
    assert 201 == admin.post(f"{V1}/jobs", body).status_code


def test_a_retry_asks_for_the_same(operator, admin):
    job_id = factories.job_in(Status.COMPLETED, type="system.prune")

    assert 403 == operator.post(f"{V1}/jobs/{job_id}/retry").status_code
    assert Status.COMPLETED == factories.row(job_id).status
    assert 200 == admin.post(f"{V1}/jobs/{job_id}/retry").status_code


def test_other_types_are_open_to_operators(operator):
    with factories.registered("plain.kind"), factories.registered("kept.kind", enqueue_role=Role.ADMIN, retry_role=Role.OPERATOR):
        assert 201 == operator.post(f"{V1}/jobs", {"type": "plain.kind"}).status_code
        assert 403 == operator.post(f"{V1}/jobs", {"type": "kept.kind"}).status_code
        job_id = factories.job_in(Status.COMPLETED, type="kept.kind")
        assert 200 == operator.post(f"{V1}/jobs/{job_id}/retry").status_code


def test_code_may_enqueue_any_type_also_on_behalf_of_an_operator():
    jobs.request("system.prune", {}, jobs.Options())
    with audit.acting(audit.Actor(key="user:7", role="operator", channel="admin")):
        jobs.enqueue("system.prune")

    assert {"completed"} == {each.status for each in testing.drain()}


def test_the_admin_says_it_before_and_refuses_it_after():
    job_id = factories.job_in(Status.COMPLETED, type="system.prune")
    browser = logged_in(person("operator", name="op"))
    asked = {"action": OPERATIONS[0].name, "_selected_action": str(job_id)}

    page = browser.post("/admin/jobs/job/", asked)
    done = browser.post("/admin/jobs/job/", {**asked, "confirm": "retry", "reason": "r"}, follow=True)

    said = "to retry this job of system.prune needs the role admin"
    assert (True, True) == (said in page.content.decode(), said[1:] in done.content.decode())   # the page begins it with a capital
    assert Status.COMPLETED == factories.row(job_id).status
