import uuid
from urllib.parse import quote

import pytest

from apps.jobs import services
from apps.jobs.lifecycle import AttemptOutcome, Status
from apps.jobs.models import Job, StaleWrite
from core.api.roles import Role
from tests.support import factories

pytestmark = pytest.mark.django_db
V1 = "/api/v1"


def ids(response) -> list[str]:
    assert response.status_code == 200, response.json()
    return [item["id"] for item in response.json()["items"]]


def test_jobs_are_listed_newest_first_over_pages(viewer):
    made = [str(factories.job()) for _ in range(7)]

    first = viewer.get(f"{V1}/jobs?limit=4")
    rest = viewer.get(first.json()["next"])

    assert ids(first) + ids(rest) == made[::-1]
    assert rest.json()["next"] is None


def test_jobs_of_one_statement_are_listed_once_each(viewer):
    made = factories.jobs(9)

    first = viewer.get(f"{V1}/jobs?limit=5")

    assert sorted(ids(first) + ids(viewer.get(first.json()["next"]))) == sorted(map(str, made))


def test_each_filter_leaves_what_it_names(viewer):
    plain = factories.job()
    other = {
        "status": factories.job_in(Status.DEAD_LETTER),
        "type": factories.job(type="other.type"),
        "queue": factories.job(queue="other"),
        "tag": factories.job(tags=["a", "b"]),
        "cron": factories.job(cron_id=7, scheduled_for="2026-01-01T00:00:00Z"),
    }
    values = {"status": "dead_letter", "type": "other.type", "queue": "other", "tag": "b", "cron": "7"}

    found = {name: ids(viewer.get(f"{V1}/jobs?{name}={value}")) for name, value in values.items()}

    assert found == {name: [str(each)] for name, each in other.items()}
    assert str(plain) not in str(found)


def test_filters_add_up(viewer):
    wanted = factories.job(queue="q", tags=["t"])
    factories.job(queue="q")
    factories.job(tags=["t"])

    assert ids(viewer.get(f"{V1}/jobs?queue=q&tag=t&status=queued")) == [str(wanted)]


def test_a_moment_counts_as_after_itself_and_not_as_before(viewer):
    old, middle, new = (factories.job() for _ in range(3))
    at = quote(factories.row(middle).created_at.isoformat())

    after, before = viewer.get(f"{V1}/jobs?created_after={at}"), viewer.get(f"{V1}/jobs?created_before={at}")

    assert [ids(after), ids(before)] == [[str(new), str(middle)], [str(old)]]


@pytest.mark.parametrize(("query", "words"), [
    ("status=done", "'scheduled', 'queued'"),
    ("created_after=2026-01-01T00:00:00+00:00", "+ is written %2B"),
    ("created_after=1767225600", "with its offset"),
    ("cron=0", "greater than or equal to 1"),
    ("cron=9223372036854775808", "less than or equal"),
    ("statuss=queued", "known are created_after, created_before, cron, cursor, limit, queue, status, tag, type"),
])
def test_a_filter_that_cannot_be_meant_is_refused(viewer, query, words):
    response = viewer.get(f"{V1}/jobs?{query}")

    assert response.status_code == 400
    assert words in response.json()["detail"]


@pytest.mark.parametrize("path", ["", "/attempts"])
def test_an_unknown_job_is_a_404_that_names_it(viewer, path):
    unknown = uuid.uuid4()

    response = viewer.get(f"{V1}/jobs/{unknown}{path}")

    assert (response.status_code, response.json()["detail"]) == (404, f"there is no job {unknown}")


def test_an_id_is_read_in_either_case(viewer):
    job_id = str(factories.job())

    assert viewer.get(f"{V1}/jobs/{job_id.upper()}").json()["id"] == job_id


def test_attempts_are_listed_oldest_first_with_the_one_that_runs(viewer):
    job_id, worker_id = factories.job(), factories.worker()
    failed = factories.claim(worker_id)
    error = '{"class": "Boom", "message": "no", "traceback": "t"}'
    factories.settled(worker_id, factories.end(failed, AttemptOutcome.FAILED, delay_seconds=0.0, error=error))
    Job.objects.filter(id=job_id).update(status=Status.QUEUED)
    factories.claim(worker_id)

    items = viewer.get(f"{V1}/jobs/{job_id}/attempts").json()["items"]

    assert [(item["number"], item["outcome"], item["worker"]) for item in items] == [
        (1, "failed", str(worker_id)), (2, None, str(worker_id)),
    ]
    assert items[0]["error"] == {"class": "Boom", "message": "no", "traceback": "t"}
    assert items[0]["fence"] < items[1]["fence"]


def test_a_queued_job_says_why_it_waits(viewer):
    job_id = factories.job(queue="default")
    reasons = [viewer.get(f"{V1}/jobs/{job_id}").json()["why_waiting"]]
    factories.worker(types=["another.type"])
    reasons.append(viewer.get(f"{V1}/jobs/{job_id}").json()["why_waiting"])
    services.pause("default", reason="tea")
    reasons.append(viewer.get(f"{V1}/jobs/{job_id}").json()["why_waiting"])

    assert reasons == [
        "no worker is alive",
        f"no worker that is alive knows {factories.TYPE} with payload version 1",
        "its queue default is paused: tea",
    ]


def test_a_type_is_listed_with_what_it_takes(viewer, note):
    found = {item["name"]: item for item in viewer.get(f"{V1}/job-types").json()["items"]}

    assert {name: found[note][name] for name in ("queue", "priority", "max_attempts", "timeout_seconds")} == {
        "queue": "notes", "priority": 3, "max_attempts": 2, "timeout_seconds": 300.0,
    }
    assert found[note]["payload_schema"]["required"] == ["text"]
    assert list(found) == sorted(found)


@pytest.mark.parametrize(("options", "roles"), [
    ({}, ("operator", "operator")),
    ({"enqueue_role": Role.ADMIN}, ("admin", "admin")),
    ({"act_role": Role.ADMIN}, ("operator", "admin")),
    ({"act_role": lambda payload: Role.ADMIN}, ("operator", None)),
])
def test_a_type_is_listed_with_the_roles_that_it_takes(viewer, options, roles):
    with factories.registered("reads.roles", handler=lambda job, payload: None, **options):
        found = {item["name"]: item for item in viewer.get(f"{V1}/job-types").json()["items"]}

    assert roles == (found["reads.roles"]["enqueue_role"], found["reads.roles"]["act_role"])


def test_a_type_is_listed_with_the_lock_that_its_jobs_hold(viewer):
    with factories.registered("reads.lock", handler=lambda job, payload: None, lock="desk"):
        found = {item["name"]: item for item in viewer.get(f"{V1}/job-types").json()["items"]}

    assert ("desk", None) == (found["reads.lock"]["lock"], found["system.prune"]["lock"])


def test_queues_are_listed_with_their_lengths(viewer, note):
    factories.jobs(2, queue="notes")
    factories.job(queue="unheard-of")

    found = {item["name"]: item for item in viewer.get(f"{V1}/queues").json()["items"]}

    assert {name: (item["waiting"], item["running"], item["paused"]) for name, item in found.items()} == {
        "default": (0, 0, False), "notes": (2, 0, False), "unheard-of": (1, 0, False),
        **{name: (0, 0, False) for name in found if name.startswith("system")},
    }
    assert found["notes"]["oldest_waiting_seconds"] > 0
    assert found["default"]["oldest_waiting_seconds"] is None


def test_workers_are_listed_with_what_they_hold(viewer):
    made = {factories.worker(name=name): [] for name in ("b@host", "a@host")}
    job_id = factories.job()
    holder = next(iter(made))
    factories.claim(holder)
    made[holder] = [str(job_id)]

    items = viewer.get(f"{V1}/workers").json()["items"]

    assert [item["name"] for item in items] == ["a@host", "b@host"]
    assert {uuid.UUID(item["id"]): item["running"] for item in items} == made
    assert (items[0]["slots"], items[0]["types"], items[0]["queues"]) == (1, {factories.TYPE: 1}, ["default"])
    assert items[0]["seen_at"] <= items[0]["lease_until"]


def test_the_ledger_is_listed_newest_first(viewer):
    worker_id, job_id = factories.worker(), factories.job()
    stale = factories.claim(worker_id)
    Job.objects.filter(id=job_id).update(fence=stale.fence + 1)
    factories.settled(worker_id, factories.end(stale))

    items = viewer.get(f"{V1}/stale").json()["items"]

    assert [{**item, "at": None} for item in items] == [{
        "job_id": str(job_id), "fence": stale.fence, "worker": str(worker_id), "outcome": "completed", "at": None,
    }]
    assert StaleWrite.objects.count() == 1


def test_the_counts_add_up(viewer):
    for status in Status:
        factories.job_in(status)
    factories.job_in(Status.COMPLETED)

    stats = viewer.get(f"{V1}/stats").json()

    assert stats["by_status"] == {status.value: 2 if status == Status.COMPLETED else 1 for status in Status}
    numbers = {name: stats[name] for name in stats if name not in {"by_status", "queues"}}
    assert numbers == {
        "total_jobs": 8, "active_jobs": 4, "completed_jobs": 2, "failed_jobs": 2, "dead_letter_jobs": 1,
        "queue_length": 1, "retry_queue_length": 1, "dlq_length": 1,
    }
    assert {name: stats["queues"]["default"][name] for name in ("waiting", "running", "paused")} == {
        "waiting": 1, "running": 1, "paused": False,
    }
