"""The test kit: that it sees what is there, runs as a worker does, and that its how-to is true."""

import os
import re
import subprocess
import sys
import uuid
from datetime import timedelta

import pydantic
import pytest
from django.conf import settings
from django.contrib.auth.models import Group
from django.db import transaction

from apps.jobs import Cancel, Discard, Retry, Snooze
from apps.jobs import services as jobs
from apps.jobs.errors import (
    Cancelled,
    DeadlineExceeded,
    InvalidArtifact,
    InvalidJob,
    UnknownJobType,
    UnstorableResult,
)
from apps.jobs.models import Artifact, Job, Worker
from apps.jobs.services import artifacts
from apps.jobs.testing import Progress, assert_enqueued, drain, refute_enqueued, run_handler
from tests.support.environment import environment
from tests.support.factories import registered

pytestmark = pytest.mark.django_db


class Named(pydantic.BaseModel):
    name: str


def make_group(job, payload: Named):
    with job.transaction() as tx:
        Group.objects.create(name=payload.name)
        tx.complete({"made": payload.name, "key": job.step_key("x")})


def returning(value):
    return lambda job, payload: value


def raising(error):
    def handler(job, payload):
        raise error

    return handler


def test_what_was_enqueued_is_found_by_a_part_of_its_payload():
    with registered("kit.echo"):
        job_id = jobs.enqueue("kit.echo", {"a": {"b": 1, "c": 2}, "d": [1, 2]}, unique_key="k")

        for part in (None, {}, {"a": {"b": 1}}, {"d": [1, 2]}):
            assert [job_id] == [job.id for job in assert_enqueued("kit.echo", payload=part, count=1)]
        assert_enqueued("kit.echo", queue="default", unique_key="k")
        for part in ({"a": {"b": 2}}, {"d": [1]}, {"e": None}):
            refute_enqueued("kit.echo", payload=part)


def test_a_failing_claim_lists_what_is_there():
    with registered("kit.echo"), registered("kit.other"):
        with pytest.raises(AssertionError, match="found 0; no job is there at all"):
            assert_enqueued("kit.echo")
        jobs.enqueue("kit.echo", {"a": 1})

        with pytest.raises(AssertionError, match=r"expected at least one job kit\.other, found 0; these jobs are there:\n  kit\.echo  queued  queue default  \{'a': 1\}"):
            assert_enqueued("kit.other")
        with pytest.raises(AssertionError, match=r"expected 2 of the jobs kit\.echo, queue 'default', found 1"):
            assert_enqueued("kit.echo", queue="default", count=2)
        with pytest.raises(AssertionError, match=r"expected 0 of the jobs kit\.echo, payload {'a': 1}, found 1"):
            refute_enqueued("kit.echo", payload={"a": 1})


def test_a_misspelt_type_is_no_proof_of_absence():
    with pytest.raises(UnknownJobType):
        refute_enqueued("kit.ehco")


def test_drain_runs_a_job_with_its_effect_and_ends_its_worker():
    with registered("kit.group", payload=Named, handler=make_group):
        job_id = jobs.enqueue("kit.group", {"name": "g"})
        others = set(Worker.objects.values_list("id", flat=True))

        [ran] = drain()

    expected = (job_id, 1, "completed", "completed", {"made": "g", "key": f"{job_id}:x"})
    assert expected == (ran.id, ran.attempt, ran.outcome, ran.status, ran.result)
    assert 1 == Group.objects.filter(name="g").count()
    assert [True] == [each.ended_at is not None for each in Worker.objects.exclude(id__in=others)]


def save_two(job, payload):
    first = job.save_artifact("../a.txt", b"one")
    return {"same": str(job.save_artifact("a.txt", b"two")) == str(first), "id": str(first)}


@pytest.mark.parametrize("way", ["a worker's context", "the fake"])
def test_a_file_is_saved_alike_in_a_drain_and_by_the_fake(way):
    with registered("kit.save", handler=save_two):
        if way == "the fake":
            handled = run_handler("kit.save")
            assert {"a.txt": uuid.UUID(handled.result["id"])} == handled.artifacts
            result = handled.result
        else:
            jobs.enqueue("kit.save")
            [ran] = drain()
            result = ran.result

    assert result["same"]
    with artifacts.open(uuid.UUID(result["id"])) as file:
        assert b"two" == file.read()


@pytest.mark.parametrize("way", ["a worker's context", "the fake"])
def test_a_file_that_is_too_large_is_refused_alike(way, settings):
    settings.JOBS = settings.JOBS.__class__(artifact_max_bytes=2)
    with registered("kit.save", handler=save_two):
        if way == "the fake":
            with pytest.raises(InvalidArtifact, match="larger than 2 bytes"):
                run_handler("kit.save")
        else:
            jobs.enqueue("kit.save")
            [ran] = drain()
            assert "larger than 2 bytes" in str(ran.error)

    assert not Artifact.objects.exists()


@pytest.mark.parametrize(("handler", "outcome", "status"), [
    (returning({"x": 1}), "completed", "completed"),
    (returning(Retry()), "failed", "retrying"),
    (returning(Snooze(delay=timedelta(hours=1))), "snoozed", "scheduled"),
    (returning(Cancel("pointless")), "cancelled", "cancelled"),
    (returning(Discard("wrong")), "discarded", "dead_letter"),
    (raising(ValueError("no")), "failed", "retrying"),
    (returning(object()), "failed", "dead_letter"),
])   # fmt: skip
def test_drain_ends_a_job_as_a_worker_would(handler, outcome, status):
    with registered("kit.echo", handler=handler):
        jobs.enqueue("kit.echo")
        [ran] = drain()

    assert (outcome, status, status) == (ran.outcome, ran.status, Job.objects.get().status)


def test_what_a_handler_raises_is_on_its_attempt():
    error = ValueError("no")
    with registered("kit.echo", handler=raising(error)):
        jobs.enqueue("kit.echo")
        [ran] = drain()

    assert error is ran.error


def test_drain_runs_what_handlers_enqueue():
    def spawn(job, payload):
        if payload.root["left"]:
            jobs.enqueue("kit.spawn", {"left": payload.root["left"] - 1})

    with registered("kit.spawn", handler=spawn):
        jobs.enqueue("kit.spawn", {"left": 2})

        assert 3 == len(drain())


def test_back_offs_are_over_at_once_only_when_asked_for():
    with registered("kit.echo", handler=returning(Retry()), max_attempts=3):
        jobs.enqueue("kit.echo", delay=timedelta(days=1))

        assert [] == drain()
        assert [1, 2, 3] == [ran.attempt for ran in drain(with_scheduled=True)]
    assert "dead_letter" == Job.objects.get().status


def test_drain_is_bounded():
    with registered("kit.echo", handler=returning(Snooze(delay=timedelta(hours=1)))):
        jobs.enqueue("kit.echo")

        assert 4 == len(drain(with_scheduled=True, max_jobs=4))


def test_drain_serves_the_queues_that_are_named_and_no_paused_one():
    with registered("kit.a", queue="qa"), registered("kit.b", queue="qb"), registered("kit.c", queue="qc"):
        for name in ("kit.a", "kit.b", "kit.c"):
            jobs.enqueue(name)
        jobs.pause("qb")

        assert ["kit.a"] == [ran.type for ran in drain(queues=["qa", "qb"])]
        assert ["kit.c"] == [ran.type for ran in drain()]


def test_priority_decides_then_age():
    with registered("kit.echo"):
        late, first, early = (jobs.enqueue("kit.echo", priority=priority) for priority in (5, 0, 5))

        assert [first, late, early] == [ran.id for ran in drain()]


def test_jobs_of_one_lock_run_one_after_the_other_under_growing_tokens():
    with registered("kit.locked", handler=lambda job, payload: job.lock_token, lock="k:{n}"):
        ids = [jobs.enqueue("kit.locked", {"n": 1}) for _ in range(3)]
        ran = drain()

    tokens = [each.result for each in ran]
    assert ids == [each.id for each in ran]
    assert 0 < tokens[0] < tokens[1] < tokens[2]
    assert tokens == [run.lock_token for run in Job.objects.filter(id__in=ids).order_by("id")]


def test_a_guarded_job_has_a_token_that_grows_with_its_attempts():
    tokens = []

    def work(job, payload):
        tokens.append(job.lock_token)
        return Retry(timedelta(0), "again") if job.attempt == 1 else None

    with registered("kit.guarded", handler=work, guard=True):
        jobs.enqueue("kit.guarded", {})
        drain(with_scheduled=True)

    first, second = tokens
    assert 0 < first < second


def test_a_failed_statement_of_a_handler_does_not_take_the_test_with_it():
    from django.db import connection

    def broken(job, payload):
        with connection.cursor() as cursor:
            cursor.execute("SELECT no_such_column")

    with registered("kit.broken", handler=broken), registered("kit.echo"):
        jobs.enqueue("kit.broken", priority=0)
        jobs.enqueue("kit.echo")

        assert ["retrying", "completed"] == [ran.status for ran in drain()]


@pytest.mark.django_db(transaction=True)
def test_drain_works_on_committed_rows_too():
    with registered("kit.group", payload=Named, handler=make_group):
        jobs.enqueue("kit.group", {"name": "g"})

        assert ["completed"] == [ran.status for ran in drain()]
    assert 1 == Group.objects.filter(name="g").count()


def test_run_handler_shows_what_the_handler_did():
    def handler(job, payload):
        job.progress(1, 2, "half")
        return {"attempt": job.attempt, "token": job.lock_token}

    with registered("kit.echo", handler=handler):
        handled = run_handler("kit.echo", attempt=3, lock_token=9)

    assert (None, {"attempt": 3, "token": 9}, False) == (handled.outcome, handled.result, handled.completed)
    assert [Progress(1, 2, "half")] == handled.progress


def test_run_handler_gives_outcomes_as_values_and_lets_exceptions_out():
    with registered("kit.echo", handler=returning(Cancel("x"))):
        assert Cancel("x") == run_handler("kit.echo").outcome
    with registered("kit.echo", handler=raising(ValueError("no"))), pytest.raises(ValueError, match="no"):
        run_handler("kit.echo")


def test_run_handler_refuses_what_a_worker_would_refuse():
    with registered("kit.group", payload=Named, handler=returning(object())):
        with pytest.raises(InvalidJob, match="/payload/name"):
            run_handler("kit.group", {})
        with pytest.raises(UnstorableResult):
            run_handler("kit.group", {"name": "g"})


def test_a_fake_attempt_can_be_cancelled_or_run_out_of_time():
    def looping(job, payload):
        for _ in range(10):
            job.progress(1)
            job.check()

    with registered("kit.loop", handler=looping):
        with pytest.raises(Cancelled):
            run_handler("kit.loop", cancel_after=2)
        with pytest.raises(DeadlineExceeded):
            run_handler("kit.loop", timeout=timedelta(0))


def test_the_fake_transaction_is_a_real_one():
    def failing(job, payload):
        with job.transaction() as tx:
            Group.objects.create(name="g")
            tx.complete()
            raise ValueError("no")

    with registered("kit.failing", handler=failing), pytest.raises(ValueError, match="no"):
        run_handler("kit.failing")
    assert 0 == Group.objects.filter(name="g").count()


@pytest.mark.django_db(transaction=True)
def test_the_fake_transaction_is_refused_where_a_workers_would_be():
    def nested(job, payload):
        with transaction.atomic(), job.transaction() as tx:
            tx.complete()

    with registered("kit.nested", handler=nested), pytest.raises(transaction.TransactionManagementError, match="outside"):
        run_handler("kit.nested")


def test_the_fake_context_answers_as_a_workers_does():
    def asking(job, payload):
        job.check()
        with job.transaction() as tx:
            tx.complete({"key": job.step_key("x"), "facts": [str(job.id), job.type, job.attempt, job.lock_token]})
        return "ignored"

    with registered("kit.asking", handler=asking):
        job_id = jobs.enqueue("kit.asking")
        [ran] = drain()

        assert ran.result == run_handler("kit.asking", id=job_id).result


def test_the_how_to_is_true(tmp_path):
    text = (settings.ROOT / "docs/how-to/test-your-jobs.md").read_text(encoding="utf-8")
    files = re.findall(r"```python\n# (\S+\.py)\n(.*?)```", text, re.DOTALL)
    for name, code in files:
        (tmp_path / name).write_text(code, encoding="utf-8")
    paths = os.pathsep.join([str(settings.ROOT), str(settings.ROOT / "platform"), str(tmp_path)])
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n", encoding="utf-8")

    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)], cwd=tmp_path,
        env=environment(PYTHONPATH=paths, JOB_MODULES="members"), capture_output=True, text=True, timeout=120, check=False,
    )   # fmt: skip

    assert 5 == len(files)
    assert (0, "7 passed") == (ran.returncode, ran.stdout.strip().splitlines()[-1].partition(" in ")[0]), ran.stdout
