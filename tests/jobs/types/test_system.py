"""Retention, as the job that it is."""

from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.sessions.models import Session
from django.db import connection

from apps.jobs import registry, testing
from apps.jobs.errors import Cancelled, InvalidJob
from apps.jobs.lifecycle import Status
from apps.jobs.models import Artifact, Job, JobAttempt, StaleWrite, Tally, Worker
from apps.jobs.services import artifacts, retention
from apps.jobs.transitions import presence
from apps.jobs.transitions.statement import on_django
from core.api.models import IdempotencyRecord
from core.ids import uuid7
from core.locking import pruning
from core.locking.opening import open_locks
from tests.support.artifact_files import stored
from tests.support.factories import job_in, worker

pytestmark = pytest.mark.django_db
LONG_AGO = datetime(2001, 1, 1, tzinfo=UTC)


def a_year_old(*models_and_fields):
    with connection.cursor() as cursor:
        for model, field in models_and_fields:
            cursor.execute(f"UPDATE {model._meta.db_table} SET {field} = %s", [LONG_AGO])


@pytest.fixture
def locks():
    made = open_locks(owner="somebody")
    yield made
    made.close()


def pruned():
    return testing.run_handler("system.prune", {}).result


def test_it_removes_what_ended_long_ago_with_its_attempts_and_keeps_the_rest():
    gone = [job_in(status) for status in (Status.COMPLETED, Status.CANCELLED)]
    kept = [job_in(status) for status in Status if status not in {Status.COMPLETED, Status.CANCELLED}]
    a_year_old((Job, "created_at"))
    Job.objects.exclude(finished_at=None).update(finished_at=LONG_AGO)
    kept.append(job_in(Status.COMPLETED))   # just now
    attempts = set(JobAttempt.objects.values_list("job_id", flat=True)) - set(gone)

    assert 2 == pruned()["jobs"]
    assert set(kept) == set(Job.objects.values_list("id", flat=True))
    assert attempts == set(JobAttempt.objects.values_list("job_id", flat=True))


def test_it_goes_on_until_nothing_is_left_and_asks_between_batches_whether_to():
    for _ in range(5):
        job_in(Status.COMPLETED)
    Job.objects.update(finished_at=LONG_AGO)
    asked = []

    assert 5 == retention.prune(keep=timedelta(days=7), batch=2, between=lambda: asked.append(Job.objects.count())).jobs
    assert [3, 1] == asked


def test_a_cancelled_run_ends_between_two_batches():
    for _ in range(4):
        job_in(Status.COMPLETED)
    Job.objects.update(finished_at=LONG_AGO)

    def cancelled():
        raise Cancelled("this")

    with pytest.raises(Cancelled):
        retention.prune(keep=timedelta(days=7), batch=2, between=cancelled)
    assert 2 == Job.objects.count()


def test_it_removes_old_evidence_and_workers_that_ended_long_ago():
    old, new = worker(), worker()
    presence.end(on_django(), worker=old, reason="test")
    for at in (LONG_AGO, datetime.now(UTC)):
        StaleWrite.objects.create(job_id=old, fence=1, outcome="completed", at=at)
    Worker.objects.filter(id=old).update(ended_at=LONG_AGO)
    result = pruned()

    assert (1, 1) == (result["workers"], result["stale_writes"])
    assert [new] == list(Worker.objects.values_list("id", flat=True))
    assert 1 == StaleWrite.objects.count()


def test_it_merges_old_counts_without_changing_their_sum():
    now = datetime.now(UTC).replace(minute=30, second=0, microsecond=0)
    for hours, minute in ((0, 1), (5, 1), (5, 2), (24 * 40, 1), (24 * 40 + 1, 1)):
        Tally.objects.create(
            minute=now - timedelta(hours=hours, minutes=minute), worker_id=worker(), type="t.t", queue="q", event="completed",
            count=10, seconds=0.5,
        )
    pruned()

    assert 50 == sum(Tally.objects.values_list("count", flat=True))
    assert 2.5 == sum(Tally.objects.values_list("seconds", flat=True))
    assert Tally.objects.count() in {3, 4}   # the two of forty days ago may lie on either side of midnight


def test_it_removes_answers_to_repeated_requests_and_sessions_whose_time_is_over():
    for key, at in (("old", LONG_AGO), ("new", datetime.now(UTC) + timedelta(hours=1))):
        IdempotencyRecord.objects.create(
            principal="p", route="r", key=key, fingerprint="f", result="x", created_at=LONG_AGO, expires_at=at,
        )
        Session.objects.create(session_key=key, session_data="", expire_date=at)
    result = pruned()

    assert 1 == result["idempotency_records"]
    assert ["new"] == list(IdempotencyRecord.objects.values_list("key", flat=True))
    assert ["new"] == list(Session.objects.values_list("session_key", flat=True))


def test_it_removes_artifacts_whose_time_is_over_with_their_files():
    old, new = artifacts.save("old", b"x"), artifacts.save("new", b"x")
    Artifact.objects.filter(id=old.id).update(expires_at=LONG_AGO)
    result = pruned()

    assert (1, 1) == (result["artifacts"], result["loose_files"])
    assert [new.id] == list(Artifact.objects.values_list("id", flat=True))
    assert old.file.name not in stored()
    assert new.file.name in stored()


def test_it_removes_locks_of_workers_and_jobs_that_have_ended_and_no_others(locks):
    gone, stays = worker(), worker()
    presence.end(on_django(), worker=gone, reason="test")
    done, just_done, runs = job_in(Status.COMPLETED), job_in(Status.COMPLETED), job_in(Status.RUNNING)
    Worker.objects.filter(id=gone).update(ended_at=datetime.now(UTC) - timedelta(hours=1))
    Job.objects.filter(id=done).update(finished_at=datetime.now(UTC) - timedelta(hours=1))
    removed = [f"worker:{gone}", f"job:{done}", f"job:{uuid7()}"]
    kept = [f"worker:{stays}", f"job:{just_done}", f"job:{runs}", f"job:{runs}".upper(), "job:sheet", "worker:"]
    for name in removed + kept:
        locks.acquire(name).release()
    locks.acquire(f"worker:{gone}")   # it never gave it back
    pruned()

    assert [True] * 3 + [False] * 6 == [locks.inspect(name) is None for name in removed + kept]


def test_a_lock_store_that_is_away_keeps_nothing_else(settings, monkeypatch):
    monkeypatch.setattr(pruning, "SECONDS", timedelta(seconds=2))
    settings.LOCKS_URL = "postgresql://nobody@127.0.0.1:9/none"   # nothing listens there
    job_in(Status.COMPLETED)
    Job.objects.update(finished_at=LONG_AGO)
    result = pruned()

    assert (1, 0) == (result["jobs"], result["locks"])


def test_it_runs_as_a_job():
    from apps.jobs import services as jobs

    job_id = jobs.enqueue("system.prune", {})
    assert [job_id] == [ran.id for ran in testing.drain()]
    result = Job.objects.get(id=job_id).result
    assert result.pop("locks") >= result.pop("dead_holders")   # other tests have left some
    assert dict.fromkeys((
        "jobs", "stale_writes", "workers", "merged_counts", "idempotency_records", "artifacts", "loose_files", "stray_files",
    ), 0) == result


def test_its_payload_is_empty():
    with pytest.raises(InvalidJob):
        registry.get("system.prune").check({"days": 1})
