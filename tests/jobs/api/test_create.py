import uuid
from datetime import timedelta

import pytest

from apps.jobs.lifecycle import Status
from apps.jobs.models import Job
from tests.support import factories

pytestmark = pytest.mark.django_db
JOBS = "/api/v1/jobs"
MEMBERS = [
    "id", "type", "queue", "priority", "status", "payload", "result", "error", "attempt", "max_attempts", "failures",
    "rescues", "fence", "worker", "tags", "unique_key", "progress", "run_at", "created_at", "started_at", "finished_at",
    "cancel_requested_at", "cron_id", "scheduled_for",
]


def body(**more):
    return {"type": "test.note", "payload": {"text": "a"}, **more}


def test_a_job_is_made_as_its_type_has_it(operator, note):
    response = operator.post(JOBS, body())

    job = response.json()
    assert response.status_code == 201
    assert list(job) == MEMBERS
    assert (job["queue"], job["priority"], job["max_attempts"], job["status"]) == ("notes", 3, 2, "queued")
    assert (job["payload"], job["run_at"][-1]) == ({"text": "a"}, "Z")
    assert operator.get(response["Location"]).json() == {**job, "why_waiting": "no worker is alive"}


def test_whoever_asks_may_say_more(operator, note):
    response = operator.post(JOBS, body(
        queue="default", priority=0, max_attempts=9, timeout_seconds=1.5, delay_seconds=60, unique_key="k", tags=["x", "y"],
    ))

    job, row = response.json(), Job.objects.get()
    assert {name: job[name] for name in ("queue", "priority", "max_attempts", "unique_key", "tags", "status")} == {
        "queue": "default", "priority": 0, "max_attempts": 9, "unique_key": "k", "tags": ["x", "y"], "status": "scheduled",
    }
    assert (row.timeout_seconds, round((row.run_at - row.created_at).total_seconds())) == (1.5, 60)


def test_null_is_as_good_as_absent(operator, note):
    absent = ("queue", "priority", "max_attempts", "timeout_seconds", "run_at", "delay_seconds", "unique_key")

    response = operator.post(JOBS, body(**dict.fromkeys(absent)))

    assert (response.status_code, response.json()["priority"]) == (201, 3)


def test_run_at_is_a_moment_of_any_offset(operator, note):
    response = operator.post(JOBS, body(run_at="2099-01-31T09:00:00.250+02:00"))

    assert (response.status_code, response.json()["run_at"]) == (201, "2099-01-31T07:00:00.250000Z")


def test_the_request_id_goes_with_the_job(operator, note):
    operator.post(JOBS, body(), X_Request_ID="edge-7")

    assert Job.objects.get().request_id == "edge-7"


@pytest.mark.parametrize(("change", "pointer", "words"), [
    ({"type": "test.nope"}, "/type", "known are email.send, http.request"),
    ({"type": "test.nope"}, "/type", "(JOB_MODULES names the modules of others"),
    ({"type": None}, "/type", "string"),
    ({"queue": "nope"}, "/queue", "known are default, notes"),
    ({"queue": ""}, "/queue", "at least 1"),
    ({"payload": {}}, "/payload/text", "required"),
    ({"payload": {"text": 1}}, "/payload/text", "string"),
    ({"payload": {"text": "a", "b~/": 1}}, "/payload/b~0~1", "not permitted"),
    ({"payload": None}, "/payload/text", "required"),
    ({"payload": [1]}, "/payload", "object"),
    ({"priority": 10}, "/priority", "9"),
    ({"priority": "1"}, "/priority", "integer"),
    ({"priority": True}, "/priority", "integer"),
    ({"max_attempts": 0}, "/max_attempts", "1"),
    ({"timeout_seconds": 0}, "/timeout_seconds", "greater than 0"),
    ({"timeout_seconds": 604_801}, "/timeout_seconds", "604800"),
    ({"delay_seconds": -1}, "/delay_seconds", "0"),
    ({"delay_seconds": 1, "run_at": "2099-01-31T09:00:00Z"}, "/run_at", "not both"),
    ({"run_at": "2099-01-31T09:00:00"}, "/run_at", "with its offset"),
    ({"run_at": "tomorrow"}, "/run_at", "with its offset"),
    ({"run_at": 4_000_000_000}, "/run_at", "with its offset"),
    ({"run_at": "2099-02-30T09:00:00Z"}, "/run_at", "calendar"),
    ({"run_at": "9999-12-31T23:59:59-12:00"}, "/run_at", "calendar"),
    ({"unique_key": ""}, "/unique_key", "at least 1"),
    ({"unique_key": "k" * 256}, "/unique_key", "at most 255"),
    ({"on_conflict": "shrug"}, "/on_conflict", "'reject', 'return_existing' or 'replace'"),
    ({"tags": ["x"] * 21}, "/tags", "at most 20"),
    ({"tags": ["x", ""]}, "/tags/1", "at least 1"),
    ({"tags": "x"}, "/tags", "list"),
    ({"colour": "red"}, "/colour", "known are delay_seconds, max_attempts"),
])
def test_a_wrong_member_is_named_and_nothing_is_made(operator, note, change, pointer, words):
    response = operator.post(JOBS, body(**change))

    [error] = response.json()["errors"]
    assert (response.status_code, error["pointer"]) == (422, pointer)
    assert words in error["detail"]
    assert not Job.objects.exists()


def test_a_query_parameter_of_a_post_is_refused(operator, note):
    assert operator.post(f"{JOBS}?dry_run=1", body()).status_code == 400


def test_a_unique_key_in_use_is_a_conflict_that_names_the_other(operator, note):
    first = operator.post(JOBS, body(unique_key="k")).json()

    response = operator.post(JOBS, body(unique_key="k"))

    problem = response.json()
    assert (response.status_code, problem["job_id"], problem["unique_key"]) == (409, first["id"], "k")
    assert first["id"] in problem["detail"]


def test_return_existing_answers_with_the_other(operator, note):
    first = operator.post(JOBS, body(unique_key="k")).json()

    response = operator.post(JOBS, body(unique_key="k", on_conflict="return_existing"))

    assert (response.status_code, response.json()) == (200, first)
    assert "Location" not in response


def test_replace_ends_the_waiting_one(operator, note):
    first = operator.post(JOBS, body(unique_key="k")).json()

    second = operator.post(JOBS, body(unique_key="k", on_conflict="replace"))

    assert second.status_code == 201
    assert operator.get(f"{JOBS}/{first['id']}").json()["status"] == "cancelled"


def test_a_repeated_request_gets_the_same_job_as_it_is_now(operator, note):
    first = operator.post(JOBS, body(), Idempotency_Key="k")
    operator.post(f"{JOBS}/{first.json()['id']}/cancel")

    second = operator.post(JOBS, body(), Idempotency_Key="k")

    assert [first.status_code, second.status_code] == [201, 200]
    assert (second.json()["id"], second.json()["status"]) == (first.json()["id"], "cancelled")
    assert Job.objects.count() == 1


def test_a_repeat_with_another_body_is_refused(operator, note):
    operator.post(JOBS, body(), Idempotency_Key="k")

    response = operator.post(JOBS, body(priority=1), Idempotency_Key="k")

    assert (response.status_code, Job.objects.count()) == (422, 1)


def test_a_refused_request_leaves_its_key_for_the_corrected_one(operator, note):
    refused = operator.post(JOBS, body(queue="nope"), Idempotency_Key="k")

    corrected = operator.post(JOBS, body(), Idempotency_Key="k")

    assert [refused.status_code, corrected.status_code] == [422, 201]


def test_a_repeat_after_retention_is_told_so_and_makes_nothing(operator, note):
    operator.post(JOBS, body(), Idempotency_Key="k")
    Job.objects.all().delete()

    response = operator.post(JOBS, body(), Idempotency_Key="k")

    assert (response.status_code, Job.objects.count()) == (410, 0)


def test_bulk_makes_all_in_their_order(operator, note):
    response = operator.post(f"{JOBS}/bulk", {"jobs": [body(priority=number % 10) for number in range(1000)]})

    jobs = response.json()["jobs"]
    assert response.status_code == 201
    assert [job["priority"] for job in jobs] == [number % 10 for number in range(1000)]
    assert {uuid.UUID(job["id"]) for job in jobs} == set(Job.objects.values_list("id", flat=True))


@pytest.mark.parametrize(("wrong", "pointers"), [
    ([], ["/jobs"]),
    ([body()] * 1001, ["/jobs"]),
    ([body(queue="nope")], ["/jobs/0/queue"]),
    ([body(), body(payload={}), body(), body(queue="nope")], ["/jobs/1/payload/text", "/jobs/3/queue"]),
    ([body(), body(colour="red")], ["/jobs/1/colour"]),
])
def test_bulk_makes_none_when_one_is_wrong(operator, note, wrong, pointers):
    response = operator.post(f"{JOBS}/bulk", {"jobs": wrong})

    assert response.status_code == 422
    assert [error["pointer"] for error in response.json()["errors"]] == pointers
    assert not Job.objects.exists()


def test_an_unknown_member_of_a_job_in_bulk_is_refused_with_those_of_a_job(operator, note):
    response = operator.post(f"{JOBS}/bulk", {"jobs": [body(), body(colour="red")]})

    assert response.json()["errors"][0]["detail"].startswith("is not a member; known are delay_seconds, max_attempts, ")


def test_a_conflict_in_bulk_makes_none(operator, note):
    operator.post(JOBS, body(unique_key="k"))

    response = operator.post(f"{JOBS}/bulk", {"jobs": [body(), body(unique_key="k")]})

    assert (response.status_code, Job.objects.count()) == (409, 1)
    assert ["/jobs/1/unique_key"] == [error["pointer"] for error in response.json()["errors"]]


def test_a_key_that_stands_twice_in_bulk_is_told_by_both_places(operator, note):
    response = operator.post(f"{JOBS}/bulk", {"jobs": [body(), body(unique_key="k"), body(), body(unique_key="k")]})

    (error,) = response.json()["errors"]
    assert (response.status_code, error["pointer"], Job.objects.count()) == (422, "/jobs/3/unique_key", 0)
    assert error["detail"].startswith("job 1 of the same call has it too")


def test_bulk_may_be_repeated_too(operator, note):
    first, second = (
        operator.post(f"{JOBS}/bulk", {"jobs": [body(), body()]}, Idempotency_Key="k") for _ in range(2)
    )

    assert [first.status_code, second.status_code, Job.objects.count()] == [201, 200, 2]
    assert first.json() == second.json()


def test_bulk_has_room_that_a_single_job_has_not(operator, note):
    large = {"text": "x" * 200_000}

    assert operator.post(f"{JOBS}/bulk", {"jobs": [body(payload=large)] * 5}).status_code == 201
    assert operator.post(JOBS, body(payload={"text": "x" * 262_144})).status_code == 413


def test_a_job_in_the_past_is_ready_and_keeps_its_age(operator, note):
    response = operator.post(JOBS, body(run_at="2020-01-01T00:00:00Z"))

    assert (response.json()["status"], response.json()["run_at"]) == (Status.QUEUED, "2020-01-01T00:00:00Z")
    assert factories.row(response.json()["id"]).created_at - Job.objects.get().run_at > timedelta(days=1)
