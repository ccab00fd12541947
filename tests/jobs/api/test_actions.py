import uuid

import pytest

from apps.jobs.lifecycle import ACTIONS, Status
from apps.jobs.models import Queue
from tests.support import factories

pytestmark = pytest.mark.django_db
V1 = "/api/v1"
AFTER = {"retry": "queued", "cancel": "cancelled", "run": "queued", "discard": "cancelled"}


@pytest.mark.parametrize("status", list(Status))
@pytest.mark.parametrize("action", list(ACTIONS))
def test_an_action_is_done_where_the_status_allows_it_and_refused_with_the_reason_elsewhere(admin, action, status):
    job_id = factories.job_in(status)

    response = admin.post(f"{V1}/jobs/{job_id}/{action}")

    now = factories.row(job_id).status
    if status not in ACTIONS[action]:
        assert (response.status_code, response.json()["job_status"], now) == (409, status, status)
        assert f"is {status}: {action} is for" in response.json()["detail"]
    elif (action, status) == ("cancel", Status.RUNNING):   # its worker hears of it and ends it
        assert (response.status_code, now) == (200, "running")
        assert response.json()["cancel_requested_at"] is not None
    else:
        assert (response.status_code, response.json()["status"], now) == (200, AFTER[action], AFTER[action])


@pytest.mark.parametrize("action", list(ACTIONS))
def test_an_action_on_nothing_is_a_404(admin, action):
    assert admin.post(f"{V1}/jobs/{uuid.uuid4()}/{action}").status_code == 404


@pytest.mark.parametrize(("body", "status"), [(None, 200), ({}, 200), ({"reason": "x"}, 422), ([], 422), (b"{", 400)])
def test_an_action_takes_nothing_or_an_empty_object(admin, body, status):
    assert admin.post(f"{V1}/jobs/{factories.job()}/run", body).status_code == status


def test_an_action_says_that_it_needs_no_body(admin):
    response = admin.post(f"{V1}/jobs/{factories.job()}/cancel", {"reason": "x"})

    assert [{"pointer": "/reason", "detail": "is not a member: this request needs no body"}] == response.json()["errors"]


def test_a_retry_that_meets_its_unique_key_in_use_names_the_other(admin):
    old = factories.job(unique_key="k")
    admin.post(f"{V1}/jobs/{old}/cancel")
    other = factories.job(unique_key="k")

    response = admin.post(f"{V1}/jobs/{old}/retry")

    assert (response.status_code, response.json()["job_id"]) == (409, str(other))


def test_a_queue_is_paused_with_who_and_why_and_resumed(operator, note):
    paused = operator.post(f"{V1}/queues/notes/pause", {"reason": "tea"})
    resumed = operator.post(f"{V1}/queues/notes/resume")

    assert [paused.status_code, resumed.status_code] == [200, 200]
    assert [paused.json()[name] for name in ("name", "paused", "paused_by", "paused_reason")] == ["notes", True, "operator", "tea"]
    assert [resumed.json()[name] for name in ("name", "paused", "paused_at", "paused_reason")] == ["notes", False, None, ""]


@pytest.mark.parametrize("body", [None, {}, {"reason": ""}, {"reason": "  "}])
def test_whoever_pauses_a_queue_may_leave_out_why(operator, note, body):
    paused = operator.post(f"{V1}/queues/notes/pause", body)

    assert (paused.status_code, paused.json()["paused"], paused.json()["paused_reason"]) == (200, True, "")


@pytest.mark.parametrize("reason", [None, 7, "x" * 501, "a\0b"])
def test_no_queue_is_paused_for_a_reason_that_cannot_be_kept(operator, note, reason):
    refused = operator.post(f"{V1}/queues/notes/pause", {"reason": reason})

    assert (refused.status_code, [each["pointer"] for each in refused.json()["errors"]]) == (422, ["/reason"])
    assert Queue.objects.count() == 0


@pytest.mark.parametrize("name", ["nope", "a%00b", "a%2Fb", "-x", "é"])
@pytest.mark.parametrize("action", ["pause", "resume"])
def test_an_unknown_queue_is_a_404(operator, name, action):
    assert operator.post(f"{V1}/queues/{name}/{action}").status_code == 404
