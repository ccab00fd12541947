"""Whatever changes something leaves an entry, through the API, a command and the admin alike."""

import io
import json

import pytest
from django.core.management import CommandError, call_command

from apps.jobs.lifecycle import Status
from apps.jobs.models import Job
from core.audit.models import AuditEntry
from tests.config.test_permission_matrix import MATRIX
from tests.support import factories
from tests.support.caller import Caller

pytestmark = pytest.mark.django_db
V1 = "/api/v1"
CALL = {"type": "http.request", "payload": {"method": "GET", "url": "https://example.com/"}}
TEA = {"reason": "tea"}
# What each mutating route writes, and how it is called; a route that is missing here fails the test below.
JOB_ACTIONS = {"retry": Status.COMPLETED, "cancel": Status.SCHEDULED, "run": Status.SCHEDULED, "discard": Status.DEAD_LETTER}
AUDITED = {
    "api/v1/jobs": "job.enqueue",
    "api/v1/jobs/bulk": "job.enqueue",
    "api/v1/artifacts": "artifact.save",   # tests/jobs/api/test_artifacts.py
    **{f"api/v1/jobs/<job:job_id>/{action}": f"job.{action}" for action in JOB_ACTIONS},
    "api/v1/queues/<queue:name>/pause": "queue.pause",
    "api/v1/queues/<queue:name>/resume": "queue.resume",
    "api/v1/locks/<lock:name>/release": "lock.release",   # tests/core/locking/test_releasing.py
}


@pytest.fixture
def typed():
    """Call a command as at a terminal; return what it printed."""

    def call(*words):
        out = io.StringIO()
        call_command(*map(str, words), stdout=out, stderr=io.StringIO())
        return out.getvalue()

    return call


def entries(**filters):
    return list(AuditEntry.objects.filter(**filters).order_by("id"))


def test_every_mutating_route_is_audited():
    assert {route for method, route in MATRIX if method != "GET"} == set(AUDITED)


@pytest.mark.parametrize(("action", "status"), list(JOB_ACTIONS.items()))
def test_an_action_on_a_job_tells_who_and_what_was_and_is(action, status):
    admin = Caller.of("admin")
    job_id = factories.job_in(status)

    response = admin.post(f"{V1}/jobs/{job_id}/{action}", X_Request_ID="asked-by-a-test", X_Forwarded_For="1.2.3.4")

    [entry] = entries(action=f"job.{action}", target=f"job:{job_id}")
    assert response.status_code == 200
    assert (entry.actor_name, entry.role, entry.channel, entry.address) == ("admin", "admin", "api", "127.0.0.1")
    assert entry.actor == f"token:{admin.headers['Authorization'].split('_')[1]}"
    assert entry.request_id == "asked-by-a-test"
    now = Job.objects.get(id=job_id).status
    assert (entry.before.get("status", now), entry.after.get("status", now)) == (status, now)


def test_what_was_refused_is_no_entry():
    job_id = factories.job_in(Status.COMPLETED)

    assert Caller.of("operator").post(f"{V1}/jobs/{job_id}/cancel").status_code == 409
    assert Caller.of("viewer").post(f"{V1}/jobs/{job_id}/retry").status_code == 403
    assert entries(target=f"job:{job_id}") == []


def test_a_queue_that_is_paused_and_resumed_tells_both_and_a_second_resume_nothing():
    operator = Caller.of("operator")

    for path, body in (("pause", TEA), ("resume", None), ("resume", None)):
        assert operator.post(f"{V1}/queues/default/{path}", body).status_code == 200

    assert [(entry.action, entry.before, entry.after) for entry in entries(target="queue:default")] == [
        ("queue.pause", {"paused": False}, {"paused": True, "reason": "tea"}),
        ("queue.resume", {"paused": True, "reason": "tea"}, {"paused": False}),
    ]


def test_jobs_that_are_asked_for_are_entries_without_their_payload():
    operator = Caller.of("operator")

    one = operator.post(f"{V1}/jobs", CALL, Idempotency_Key="k").json()
    again = operator.post(f"{V1}/jobs", CALL, Idempotency_Key="k")
    many = operator.post(f"{V1}/jobs/bulk", {"jobs": [CALL, CALL]}).json()["jobs"]

    first, second = entries(action="job.enqueue")
    assert again.status_code == 200
    assert (first.target, first.after) == (f"job:{one['id']}", {"type": "http.request"})
    assert second.after == {"count": 2, "types": {"http.request": 2}, "first": many[0]["id"], "last": many[1]["id"]}


def test_whoever_enqueues_by_the_million_may_leave_that_out(settings):
    settings.AUDIT_ENQUEUE = False

    assert Caller.of("operator").post(f"{V1}/jobs", CALL).status_code == 201
    assert entries(action="job.enqueue") == []


def test_the_commands_are_told_as_their_terminals(typed):
    job_id = factories.job_in(Status.COMPLETED)
    prefix = typed("tokens_create", "ci", "--role", "viewer").split("_")[1]

    typed("jobs_retry", job_id)
    typed("jobs_cancel", job_id)
    typed("queues_pause", "default", "--reason", "tea")
    typed("tokens_revoke", prefix)
    typed("tokens_revoke", prefix)
    typed("jobs_enqueue", "http.request", json.dumps(CALL["payload"]))
    typed("jobs_prune", "--older-than", "1d")

    told = entries()
    assert [entry.action for entry in told] == [
        "token.create", "job.retry", "job.cancel", "queue.pause", "token.revoke", "job.enqueue", "jobs.prune",
    ]
    assert {(entry.channel, entry.actor.split(":")[0]) for entry in told} == {("command", "terminal")}
    assert told[4].before == {"name": "ci", "revoked": False}


def test_a_dry_run_is_no_entry(typed):
    job_id = factories.job_in(Status.COMPLETED)

    typed("jobs_retry", job_id, "--dry-run")
    typed("tokens_create", "ci", "--role", "viewer", "--dry-run")

    assert entries() == []


def test_the_list_is_for_admins_newest_first_by_cursor():
    admin, operator = Caller.of("admin"), Caller.of("operator")
    for path, body in (("pause", TEA), ("resume", None), ("pause", TEA)):
        operator.post(f"{V1}/queues/default/{path}", body)

    first = admin.get(f"{V1}/audit?target=queue:default&limit=2").json()
    second = admin.get(first["next"].split("testserver")[1]).json()

    told = [entry["action"] for entry in (*first["items"], *second["items"])]
    assert (told, second["next"]) == (["queue.pause", "queue.resume", "queue.pause"], None)
    assert operator.get(f"{V1}/audit").status_code == 403


@pytest.mark.parametrize("name", ["actor", "action", "target", "request_id"])
def test_the_list_is_filtered(name, typed):
    admin, job_id = Caller.of("admin"), factories.job_in(Status.COMPLETED)
    admin.post(f"{V1}/queues/default/pause", TEA, X_Request_ID="one")
    admin.post(f"{V1}/jobs/{job_id}/retry", X_Request_ID="two")
    wanted = AuditEntry.objects.get(action="queue.pause")
    AuditEntry.objects.create(actor="user:7", action="job.run", target="job:1", request_id="three")
    value = getattr(wanted, name)

    there = admin.get(f"{V1}/audit?{name}={value}")
    here = json.loads(typed("audit_list", f"--{name.replace('_', '-')}", value, "--json"))

    ids = [entry["id"] for entry in there.json()["items"]]
    assert wanted.pk in ids
    assert ids == [entry["id"] for entry in here]
    assert all(entry[name] == value for entry in there.json()["items"])
    assert len(ids) < AuditEntry.objects.count()


def test_the_list_is_filtered_by_time():
    admin = Caller.of("admin")
    admin.post(f"{V1}/queues/default/pause", TEA)

    def count(query):
        return len(admin.get(f"{V1}/audit?{query}").json()["items"])

    assert [count("created_after=2020-01-01T00:00:00Z") > 0, count("created_after=2100-01-01T00:00:00Z"),
            count("created_before=2020-01-01T00:00:00Z")] == [True, 0, 0]


@pytest.mark.parametrize("query", ["nope=1", "actor=", "created_after=yesterday", "target=%00"])
def test_the_list_refuses_what_it_does_not_know(query):
    assert Caller.of("admin").get(f"{V1}/audit?{query}").status_code == 400


def test_the_command_shows_text_that_a_terminal_would_obey_as_text(typed):
    AuditEntry.objects.create(actor="user:7", action="queue.pause", target="queue:x", after={"reason": "\x1b[31m"})

    said = typed("audit_list", "--actor", "user:7")

    assert "\x1b" not in said
    assert "\\u001b[31m" in said


@pytest.mark.parametrize("words", [["--limit", "0"], ["--created-after", "yesterday"], ["--limit", "x"]])
def test_the_command_refuses_what_it_does_not_understand(words, typed):
    with pytest.raises(CommandError):
        typed("audit_list", *words)


def test_an_entry_fails_with_the_change_that_it_tells_of(monkeypatch):
    operator, job_id = Caller.of("operator"), factories.job_in(Status.COMPLETED)
    monkeypatch.setattr("apps.jobs.services.actions.audit.record", lambda **_: 1 / 0)

    assert operator.post(f"{V1}/jobs/{job_id}/retry").status_code == 500
    assert Job.objects.get(id=job_id).status == Status.COMPLETED
