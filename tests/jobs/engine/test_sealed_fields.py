"""A secret goes through real workers, and is then searched for wherever somebody could look."""

import importlib
import json
import sys
from contextlib import contextmanager

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.db import connection

from apps.jobs import registry
from apps.jobs import services as jobs
from apps.jobs.errors import InvalidJob
from apps.jobs.lifecycle import Status
from core.api.models import ApiToken, IdempotencyRecord
from core.sealing import form
from tests.jobs.engine.conftest import ended, known
from tests.support import factories
from tests.support.caller import Caller
from tests.support.people import logged_in, person

SECRET = "5500-7331-secret-9911"
PAYLOAD = {"card": SECRET, "token": {"secret": SECRET}}
NAME = "sealed.pay"


@pytest.fixture
def db(db):
    """Leave nobody behind who was made to look: these tests commit."""
    yield
    for model in (IdempotencyRecord, Session, ApiToken):
        model.objects.all().delete()
    User.objects.filter(username="sealed-admin").delete()


@contextmanager
def sealed_type(**changes):
    """Make the type known here as the worker knows it, or otherwise."""
    before = dict(registry._types)
    registry._types.pop(NAME, None)
    sys.modules.pop("tests.support.sealed", None)
    importlib.import_module("tests.support.sealed")
    try:
        if changes:
            handler = registry._types.pop(NAME).handler
            registry.job_type(NAME, sensitive=("card", "token"), **changes)(handler)
        yield
    finally:
        registry._types.clear()
        registry._types.update(before)


def rows_with(text):
    """Return the tables that hold a text anywhere."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'public'")
        tables = [name for (name,) in cursor.fetchall()]
        found = []
        for table in tables:
            cursor.execute(f"SELECT count(*) FROM {table} t WHERE strpos(t::text, %s) > 0", [text])
            found += [table] if cursor.fetchone()[0] else []
    return found


def told(ids, capsys):
    """Return all that API, admin and commands say about jobs."""
    caller, browser = Caller.of("admin"), logged_in(person("admin", name="sealed-admin", is_superuser=True))
    answers = [caller.get(f"/api/v1/jobs/{job_id}{more}") for job_id in ids for more in ("", "/attempts", "/artifacts")]
    answers += [caller.get(path) for path in ("/api/v1/jobs?limit=200", "/api/v1/audit", "/metrics", "/api/v1/job-types")]
    answers += [browser.get(f"/admin/jobs/job/{job_id}/change/") for job_id in ids]
    answers += [browser.get(path) for path in ("/admin/jobs/job/", "/admin/jobs/jobattempt/", "/admin/core/auditentry/")]
    assert {200} == {answer.status_code for answer in answers}
    for job_id in ids:
        call_command("jobs_show", str(job_id))
        call_command("jobs_show", str(job_id), "--json")
    call_command("jobs_list", "--json")
    return "\n".join([*(answer.content.decode() for answer in answers), *capsys.readouterr()])


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_a_secret_is_nowhere_after_success_failure_validation_and_dead_letter(pool, workers, capsys, settings):
    worker = workers.start(pool=pool, modules=("tests.support.sealed",))
    known(worker.queue)
    ids = {}
    with sealed_type():
        for do in ("give", "fail", "discard"):
            ids[do] = jobs.enqueue(NAME, {"do": do, **PAYLOAD}, queue=worker.queue)
        ids["many"] = jobs.enqueue_many(NAME, [{"do": "give", **PAYLOAD}] * 3, queue=worker.queue)[-1]
        answer = Caller.of("operator").post(
            "/api/v1/jobs", {"type": NAME, "payload": {"do": "give", **PAYLOAD}, "queue": worker.queue}, Idempotency_Key="once",
        )
        refused = Caller.of("operator").post("/api/v1/jobs", {"type": NAME, "payload": {"do": "give", "card": [SECRET], "token": SECRET}})
        ids["api"] = answer.json()["id"]
    with sealed_type(payload=registry.Anything):   # somebody has changed the model since
        ids["invalid"] = jobs.enqueue(NAME, {"do": "give", "card": [SECRET], "token": SECRET}, queue=worker.queue)
    with sealed_type():
        keys, settings.SEAL_KEYS = settings.SEAL_KEYS, ["A" * 43]
        ids["foreign"] = jobs.enqueue(NAME, {"do": "give", **PAYLOAD}, queue=worker.queue)
        settings.SEAL_KEYS = keys

        rows = dict(zip(ids, ended(*ids.values()), strict=True))
        shown = told(ids.values(), capsys)

    assert {"digits": len(SECRET), "token": len(SECRET)} == rows["give"].result == rows["many"].result == rows["api"].result
    ends = {name: row.status for name, row in rows.items() if row.status != Status.COMPLETED}
    assert dict.fromkeys(("fail", "discard", "invalid", "foreign"), Status.DEAD_LETTER) == ends
    assert (201, 422, "(sealed)") == (answer.status_code, refused.status_code, answer.json()["payload"]["card"])
    log = worker.log.read_text()
    assert rows["invalid"].error["message"].startswith("/payload/card: is not what the field takes (string_type)")
    assert "put the old key back into SEAL_KEYS" in rows["foreign"].error["message"]
    assert (True, True, True) == ("sealed.paying" in log, "(sealed)" in shown, "is not what the field takes" in shown)
    assert ([], False, False, False) == (
        rows_with(SECRET), SECRET in log, SECRET in shown, SECRET in answer.content.decode() + refused.content.decode(),
    )
    assert form.MARK not in shown
    assert ["job"] == rows_with(form.MARK)


def test_without_sealing_it_would_be_found(workers, capsys):
    worker = workers.start(modules=("tests.support.sealed",))
    known(worker.queue)
    with factories.registered(NAME):
        job_id = jobs.enqueue(NAME, {"do": 1, **PAYLOAD}, queue=worker.queue)
        [row] = ended(job_id)
        shown = told([job_id], capsys)

    assert (["job"], True) == (rows_with(SECRET), SECRET in shown)
    assert SECRET not in json.dumps(row.error) + worker.log.read_text()   # also a plain value of such a type is not told


def test_a_retried_job_stays_sealed_and_runs(workers):
    worker = workers.start(modules=("tests.support.sealed",))
    known(worker.queue)
    with sealed_type():
        job_id = jobs.enqueue(NAME, {"do": "give", **PAYLOAD}, queue=worker.queue)
        [first] = ended(job_id)
        jobs.retry(job_id)
        [second] = ended(job_id)

    assert (first.payload, first.result, 2) == (second.payload, second.result, second.attempt)
    assert form.is_sealed(second.payload["card"])


def test_a_ready_made_sealed_value_is_refused_by_the_api(db):
    with sealed_type():
        body = {"type": NAME, "payload": {"do": "give", "card": "c", "token": {"$sealed": "01234567:AAAA"}}}
        answer = Caller.of("operator").post("/api/v1/jobs", body)
        with pytest.raises(InvalidJob):
            jobs.enqueue_many(NAME, [body["payload"]])

    assert (422, ["/payload/token"]) == (answer.status_code, [each["pointer"] for each in answer.json()["errors"]])


def test_the_fingerprint_of_a_request_is_keyed(db, settings):
    body = {"type": NAME, "payload": {"do": "give", **PAYLOAD}}
    with sealed_type():
        for number in ("first", "second"):
            Caller.of("operator").post("/api/v1/jobs", body, Idempotency_Key=number)
            settings.SECRET_KEY = "another" * 9

    assert 2 == len(set(IdempotencyRecord.objects.values_list("fingerprint", flat=True)))


def test_without_a_key_the_api_says_what_is_missing(db, settings):
    settings.SEAL_KEYS = []
    with sealed_type():
        answer = Caller.of("operator").post("/api/v1/jobs", {"type": NAME, "payload": {"do": "give", **PAYLOAD}})

    assert (503, True) == (answer.status_code, "SEAL_KEYS is not set" in answer.json()["detail"])
