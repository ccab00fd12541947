"""Secrets of an `http.request` reach the server that is called, and nobody else."""

import base64
import json

import pytest
from django.core.management import call_command
from django.db import connection

from apps.jobs.models import Job
from apps.jobs.testing import drain
from tests.support import factories
from tests.support.caller import Caller
from tests.support.people import logged_in, person

KEY = base64.b64encode(b"this-is-a-secret-of-40-bytes-for-a-test!").decode()
BEARER, COOKIE, OWN = "bearer-s3cr3t-1", "cookie-s3cr3t-2", "own-s3cr3t-3"
SECRETS = (KEY, BEARER, COOKIE, OWN)
HEADERS = {"Authorization": f"Bearer {BEARER}", "Cookie": f"sid={COOKIE}", "X-Shop-Pass": OWN, "Accept": "text/csv"}


@pytest.fixture(autouse=True)
def inner_addresses(settings):
    settings.OUTGOING_ALLOW_PRIVATE = True


@pytest.fixture
def audited(db, settings):
    settings.AUDIT_ENQUEUE = True


def payload(url):
    return {"method": "POST", "url": url, "text": "x", "headers": HEADERS, "sign": {"secret": f"whsec_{KEY}"}}


def told(job_id, capsys):
    """Return what a viewer and an admin are told by API, admin, commands and audit."""
    paths = (f"/api/v1/jobs/{job_id}", f"/api/v1/jobs/{job_id}/attempts", "/api/v1/jobs")
    answers = [Caller.of(role).get(path) for role in ("viewer", "admin") for path in paths]
    answers.append(Caller.of("admin").get("/api/v1/audit"))
    for role, more in (("viewer", {}), ("admin", {"is_superuser": True})):
        browser = logged_in(person(role, name=f"looks-{role}", **more))
        answers += [browser.get(path) for path in (f"/admin/jobs/job/{job_id}/change/", "/admin/jobs/job/")]
    assert {200} == {answer.status_code for answer in answers}
    for words in (["jobs_show", str(job_id)], ["jobs_show", str(job_id), "--json"], ["jobs_list", "--json"]):
        call_command(*words)
    return "\n".join([*(answer.content.decode() for answer in answers), *capsys.readouterr()])


def stored():
    with connection.cursor() as cursor:
        cursor.execute("SELECT t::text FROM job t UNION ALL SELECT t::text FROM job_attempt t UNION ALL SELECT t::text FROM audit_entry t")
        return "\n".join(text for (text,) in cursor.fetchall())


@pytest.mark.parametrize("status", [200, 503, 404])
def test_the_server_gets_them_and_nobody_else_sees_them(status, server, capsys, caplog, audited):
    url = server.answers("/hook", status)
    answer = Caller.of("operator").post("/api/v1/jobs", {"type": "http.request", "payload": payload(url), "max_attempts": 1})
    drain()

    [seen] = server.seen
    shown = told(answer.json()["id"], capsys)
    everywhere = shown + stored() + answer.content.decode() + caplog.text
    assert HEADERS == {name: seen.headers[name.lower()] for name in HEADERS}
    assert seen.headers["webhook-signature"].startswith("v1,")
    assert [] == [secret for secret in SECRETS if secret in everywhere]
    assert {"secret": "(sealed)"} == answer.json()["payload"]["sign"]
    assert dict.fromkeys(HEADERS, "(sealed)") == answer.json()["payload"]["headers"]


def test_a_row_from_before_is_hidden_too(db, server, capsys):
    [job_id] = factories.jobs(1, type="http.request", payload=json.dumps(payload(server.answers("/"))))

    shown = told(job_id, capsys)

    assert (True, []) == (OWN in stored(), [secret for secret in SECRETS if secret in shown])
    drain()
    assert HEADERS["Cookie"] == server.seen[0].headers["cookie"]


def test_without_a_key_the_caller_is_told_and_a_request_without_secrets_is_taken(db, settings):
    settings.SEAL_KEYS = []
    call = {"type": "http.request", "payload": {"url": "https://example.com/"}}
    plain = Caller.of("operator").post("/api/v1/jobs", call)
    refused = Caller.of("operator").post("/api/v1/jobs", {**call, "payload": {**call["payload"], "headers": {"Cookie": COOKIE}}})

    assert (201, 503) == (plain.status_code, refused.status_code)
    assert (True, False) == ("SEAL_KEYS is not set" in refused.json()["detail"], COOKIE in refused.content.decode())
    assert 1 == Job.objects.count()
