"""READ_ONLY=1: people and programs look, and change nothing; the fleet goes on."""

import io
import json
import re

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client

from apps.jobs import services as jobs
from apps.jobs.lifecycle import Status
from apps.jobs.models import Job
from apps.jobs.testing import drain
from core.api.models import ApiToken
from core.audit.models import AuditEntry
from tests.config.test_permission_matrix import MATRIX
from tests.support import factories
from tests.support.caller import Caller

pytestmark = pytest.mark.django_db
REASON = "read-only now (READ_ONLY=1)"
MUTATING = [
    ["jobs_enqueue", "http.request", '{"method": "GET", "url": "https://example.com/"}'], ["jobs_retry", "{job}"],
    ["jobs_cancel", "{job}"], ["jobs_run", "{job}"], ["jobs_discard", "{job}"], ["jobs_prune"], ["artifacts_prune"],
    ["queues_pause", "default"],
    ["queues_resume", "default"], ["tokens_create", "x", "--role", "viewer"], ["tokens_revoke", "{prefix}"],
]   # fmt: skip


@pytest.fixture
def admin(settings):
    found = Caller.of("admin")
    settings.READ_ONLY = True
    return found


def address(route):
    return "/" + re.sub("<job:[a-z_]+>", str(factories.job_in(Status.COMPLETED)), route).replace("<queue:name>", "default")


@pytest.mark.parametrize("route", sorted(route for method, route in MATRIX if method == "POST"))
def test_every_mutating_route_says_why_it_does_nothing(admin, route):
    path = address(route)
    before = (list(Job.objects.order_by("id").values()), AuditEntry.objects.count())

    responses = [caller.post(path, {}) for caller in (admin, Caller())]

    assert [(each.status_code, each["Content-Type"]) for each in responses] == [(503, "application/problem+json")] * 2
    assert {each.json()["type"] for each in responses} == {"urn:latchwork:problem:read-only"}
    assert all(REASON in each.json()["detail"] for each in responses)
    assert before == (list(Job.objects.order_by("id").values()), AuditEntry.objects.count())


@pytest.mark.parametrize("route", sorted(route for method, route in MATRIX if method == "GET" and "{" not in route))
def test_every_route_that_reads_goes_on(admin, route):
    assert admin.get(address(route)).status_code in {200, 404}


def test_a_use_of_a_token_is_not_written(admin):
    assert admin.get("/api/v1/jobs").status_code == 200
    assert ApiToken.objects.get().last_used_at is None


def test_the_admin_lets_one_in_to_look_and_do_nothing(admin):
    User.objects.create_superuser("ann", password="a-long-enough-one")
    job_id, client = factories.job_in(Status.COMPLETED), Client()

    entered = client.post("/admin/login/?next=/admin/", {"username": "ann", "password": "a-long-enough-one"})
    looked = client.get("/admin/jobs/job/")
    done = client.post("/admin/jobs/job/", {"action": "retry", "_selected_action": [str(job_id)]})

    assert [entered.status_code, looked.status_code, done.status_code] == [302, 200, 503]
    assert REASON in done.content.decode()
    assert factories.row(job_id).status == Status.COMPLETED


@pytest.mark.parametrize("words", MUTATING, ids=lambda words: words[0])
@pytest.mark.parametrize("more", [[], ["--dry-run"]], ids=["really", "dry"])
def test_every_mutating_command_refuses_with_the_reason(admin, words, more):
    names = {"job": str(factories.job_in(Status.COMPLETED)), "prefix": ApiToken.objects.get().prefix}
    typed = [names[word[1:-1]] if word in {"{job}", "{prefix}"} else word for word in words]
    before = (Job.objects.count(), ApiToken.objects.values_list("revoked_at").get(), AuditEntry.objects.count())

    with pytest.raises(CommandError, match=re.escape(REASON)) as refused:
        call_command(*typed, *more, stdout=io.StringIO(), stderr=io.StringIO())

    assert refused.value.returncode == 1
    assert before == (Job.objects.count(), ApiToken.objects.values_list("revoked_at").get(), AuditEntry.objects.count())


def test_commands_that_look_go_on(admin):
    out = io.StringIO()

    call_command("jobs_list", "--json", stdout=out)
    call_command("audit_list", "--json", stdout=io.StringIO())

    assert json.loads(out.getvalue()) == []


def test_the_fleet_goes_on(settings, echo):
    job_id = jobs.enqueue(echo.name)
    settings.READ_ONLY = True
    drain()

    later = jobs.enqueue(echo.name)   # as a handler does

    assert factories.row(job_id).status == Status.COMPLETED
    assert factories.row(later).status == Status.QUEUED


@pytest.fixture
def echo():
    with factories.registered() as kind:
        yield kind
