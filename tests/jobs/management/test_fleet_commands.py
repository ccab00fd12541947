import json

import pytest

from apps.jobs.models import Queue, StaleWrite
from apps.jobs.transitions import presence
from apps.jobs.transitions.statement import on_django
from core.ids import uuid7

pytestmark = pytest.mark.django_db


def start_worker(name: str):
    worker = presence.Start(
        id=uuid7(), name=name, host="h", pid=4, pool="prefork", slots=2, queues=["default"],
        types=json.dumps({"http.request": 1}), code_version="v", metrics_port=None,
    )   # fmt: skip
    presence.start(on_django(), worker, lease_seconds=30)
    return worker.id


def test_a_queue_is_paused_with_its_reason_and_resumed(typed):
    assert "paused default\n" == typed("queues_pause", "default", "--reason=deploy").out

    [paused] = [queue for queue in typed("queues_list", "--json").facts if queue["name"] == "default"]
    assert (True, "deploy") == (paused["paused"], paused["paused_reason"])
    assert paused["paused_by"].endswith("at a terminal")
    assert "deploy" in typed("queues_list").out

    assert "resumed default\n" == typed("queues_resume", "default").out
    assert "default was not paused\n" == typed("queues_resume", "default").out


def test_a_dry_run_of_pause_and_resume_changes_nothing(typed):
    assert "would pause default\n" == typed("queues_pause", "default", "--dry-run").out
    assert "would pause default" == typed("queues_pause", "default", "--dry-run", "--json").facts["detail"]
    assert 0 == Queue.objects.filter(paused_at__isnull=False).count()

    typed("queues_pause", "default")
    assert "would resume default\n" == typed("queues_resume", "default", "--dry-run").out
    assert 1 == Queue.objects.filter(paused_at__isnull=False).count()


@pytest.mark.parametrize("reason", ["x" * 501, "a\0b"])
def test_nothing_is_paused_for_a_reason_that_cannot_be_kept(reason, typed):
    said = typed("queues_pause", "default", f"--reason={reason}")

    assert (True, 0) == (said.status > 0, Queue.objects.count())
    assert "--reason" in said.err


@pytest.mark.parametrize("command", ["queues_pause", "queues_resume"])
def test_an_unknown_queue_is_refused_with_the_known(command, typed):
    said = typed(command, "nowhere")

    assert 1 == said.status
    assert "there is no queue 'nowhere'; known are " in said.err


def test_workers_are_listed_until_they_end(typed):
    stays, ends = start_worker("w1@h"), start_worker("w2@h")
    presence.end(on_django(), worker=ends, reason="stopped")

    [worker] = typed("workers_list", "--json").facts
    assert (str(stays), [], {"http.request": 1}) == (worker["id"], worker["running"], worker["types"])
    assert "w1@h" in typed("workers_list").out
    assert "no worker is alive\n" == typed("workers_list", "--name=w2@h").out


def test_the_stale_ledger_is_listed(typed):
    from django.utils import timezone

    job_id, other = uuid7(), uuid7()
    for each in (job_id, other):
        StaleWrite.objects.create(job_id=each, fence=3, worker_id=uuid7(), outcome="completed", at=timezone.now())

    [stale] = typed("jobs_stale", "--json", "--job", job_id).facts
    assert (str(job_id), 3, "completed") == (stale["job_id"], stale["fence"], stale["outcome"])
    assert 2 == len(typed("jobs_stale", "--json").facts)
    assert "completed" in typed("jobs_stale").out
