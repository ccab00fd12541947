"""A type may ask for more than the route does: what the platform does for itself is for admins to ask for, and to act on."""

from dataclasses import replace

import pytest

from apps.jobs import registry, testing
from apps.jobs import services as jobs
from apps.jobs.lifecycle import Status
from apps.jobs.models import Job
from apps.jobs.selection import Selection
from apps.jobs.services import bulk, many
from core import audit
from core.api.roles import Role
from core.audit.models import AuditEntry
from core.ids import uuid7
from tests.support import factories
from tests.support.people import logged_in, person

pytestmark = pytest.mark.django_db
V1 = "/api/v1"
PRUNE = {"type": "system.prune"}
BULK = {"type": "system.bulk", "payload": {"action": "discard", "filter": {}, "by": "x", "reason": "y"}}
ACTIONS_OF_OPERATORS = [
    ("retry", Status.COMPLETED), ("run", Status.SCHEDULED), ("cancel", Status.SCHEDULED), ("cancel", Status.RUNNING),
]


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


@pytest.mark.parametrize(("action", "before"), ACTIONS_OF_OPERATORS)
def test_whatever_is_done_to_such_a_job_asks_for_the_same(action, before, operator, admin):
    job_id = factories.job_in(before, type="system.prune")

    refused = operator.post(f"{V1}/jobs/{job_id}/{action}")

    assert (403, f"to {action} this job of system.prune needs the role admin") == (refused.status_code, refused.json()["detail"])
    assert before == factories.row(job_id).status
    assert [] == list(AuditEntry.objects.filter(target=f"job:{job_id}"))
    assert 200 == admin.post(f"{V1}/jobs/{job_id}/{action}").status_code


@pytest.mark.parametrize(("action", "before"), ACTIONS_OF_OPERATORS)
def test_without_the_role_of_its_type_an_operator_does_all_that(action, before, operator, monkeypatch):
    monkeypatch.setitem(registry._types, "system.prune", replace(registry.get("system.prune"), act_role=Role.OPERATOR))
    job_id = factories.job_in(before, type="system.prune")

    assert 200 == operator.post(f"{V1}/jobs/{job_id}/{action}").status_code


def test_a_role_of_the_type_never_opens_what_the_action_itself_closes(operator):
    with factories.registered("open.kind", act_role=Role.VIEWER):
        dead = factories.job_in(Status.DEAD_LETTER, type="open.kind")

        assert 403 == operator.post(f"{V1}/jobs/{dead}/discard").status_code


@pytest.mark.parametrize(("action", "before"), [*ACTIONS_OF_OPERATORS, ("discard", Status.DEAD_LETTER)])
def test_an_action_on_all_that_match_leaves_such_jobs_to_admins(action, before):
    job_id, other = factories.job_in(before, type="system.prune"), factories.job_in(before)

    acted = {}
    for role in ("operator", "admin"):
        with audit.acting(audit.Actor(key="user:7", role=role, channel="admin")):
            acted[role] = many.act(action, [job_id, other] if role == "operator" else [job_id], reason="r")

    assert ([other], [job_id]) == (acted["operator"].done, list(acted["operator"].refused))
    assert f"to {action} this job of system.prune needs the role admin" == str(acted["operator"].refused[job_id])
    assert [job_id] == acted["admin"].done


def test_a_job_of_another_type_is_replaced_by_nobody_who_may_not_cancel_it(operator, admin):
    job_id = factories.job_in(Status.SCHEDULED, type="system.prune", unique_key="k")
    other = factories.job(unique_key="j")
    with factories.registered("plain.kind"):
        asked = [{"type": "plain.kind", "unique_key": key, "on_conflict": "replace"} for key in ("k", "j")]
        refused, done = (operator.post(f"{V1}/jobs", each) for each in asked)

        assert (403, "to replace this job of system.prune needs the role admin") == (refused.status_code, refused.json()["detail"])
        assert (201, Status.SCHEDULED, Status.CANCELLED) == (
            done.status_code, factories.row(job_id).status, factories.row(other).status)
        assert 201 == admin.post(f"{V1}/jobs", asked[0]).status_code
    assert Status.CANCELLED == factories.row(job_id).status


def test_other_types_are_open_to_operators(operator):
    with factories.registered("plain.kind"), factories.registered("kept.kind", enqueue_role=Role.ADMIN, act_role=Role.OPERATOR):
        assert 201 == operator.post(f"{V1}/jobs", {"type": "plain.kind"}).status_code
        assert 403 == operator.post(f"{V1}/jobs", {"type": "kept.kind"}).status_code
        for action, before in ACTIONS_OF_OPERATORS:
            job_id = factories.job_in(before, type="kept.kind")
            assert 200 == operator.post(f"{V1}/jobs/{job_id}/{action}").status_code


def test_code_may_enqueue_any_type_also_on_behalf_of_an_operator():
    jobs.request("system.prune", {}, jobs.Options())
    with audit.acting(audit.Actor(key="user:7", role="operator", channel="admin")):
        jobs.enqueue("system.prune")

    assert {"completed"} == {each.status for each in testing.drain()}


@pytest.mark.parametrize(("action", "before"), ACTIONS_OF_OPERATORS)
def test_the_admin_says_it_before_and_refuses_it_after(action, before):
    job_id = factories.job_in(before, type="system.prune")
    browser = logged_in(person("operator", name="op"))
    asked = {"action": action, "_selected_action": str(job_id)}

    page = browser.post("/admin/jobs/job/", asked)
    done = browser.post("/admin/jobs/job/", {**asked, "confirm": action, "reason": "r"}, follow=True)

    said = f"to {action} this job of system.prune needs the role admin"
    assert (True, True) == (said in page.content.decode(), said[1:] in done.content.decode())   # the page begins it with a capital
    assert before == factories.row(job_id).status


def test_the_page_that_asks_about_all_that_match_counts_what_is_closed_to_whoever_asks():
    for kind in ("system.prune", factories.TYPE, factories.TYPE):
        factories.job_in(Status.SCHEDULED, type=kind)
    facts = {}
    for role in ("operator", "admin"):
        page = logged_in(person(role, name=role)).get("/admin/jobs/bulk/begin/?action=cancel&status=scheduled")
        facts[role] = dict(page.context["facts"])

    closed = "Would be refused: a type that needs another role"
    done = "Would be cancelled, or asked to stop"
    assert ("2", "1") == (facts["operator"][done], facts["operator"][closed])
    assert ("3", False) == (facts["admin"][done], closed in facts["admin"])


@pytest.mark.parametrize(("action", "stops"), [("retry", True), ("discard", False)])
def test_an_operator_stops_what_operators_may_begin_and_is_shown_no_button_for_the_rest(action, stops):
    with audit.acting(audit.Actor(key="user:1", role="admin", channel="admin")):
        begun = bulk.begin(action, Selection(status=Status.DEAD_LETTER), reason="r", bulk_id=uuid7()).id
    browser = logged_in(person("operator", name="op"))
    address = f"/admin/jobs/bulk/{begun}/change/"

    page = browser.get(address).content.decode()
    browser.post(address)

    assert stops is (">Stop</button>" in page)
    assert (Status.CANCELLED if stops else Status.QUEUED) == factories.row(begun).status
