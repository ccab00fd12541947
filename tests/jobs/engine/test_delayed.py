"""Jobs for a moment: claimed shortly before it, begun at it, and never earlier."""

from datetime import timedelta

from django.db import connection

from apps.jobs.models import Job
from apps.jobs.scheduling.dispatcher import Config, Dispatcher
from tests.jobs.engine.conftest import ended
from tests.jobs.scheduling.conftest import running
from tests.support.waiting import until

BEGAN = "SELECT extract(epoch FROM e.at - j.run_at) FROM scripted_effect e JOIN job j ON j.id = e.job_id WHERE j.id = ANY(%s)"


def test_delayed_jobs_are_claimed_before_their_moment_and_begin_at_it(worker, enqueue, monkeypatch):
    monkeypatch.setattr("apps.jobs.scheduling.dispatcher.LEAD", 5.0)   # a busy machine takes longer than the real one to claim
    with running(Dispatcher(Config(by="beat:test:2", duty="dispatch.test")).run):
        jobs = [enqueue(worker, "effect", delay=timedelta(milliseconds=3000 + 10 * number)) for number in range(40)]
        rows = ended(*jobs)
    with connection.cursor() as cursor:
        cursor.execute(BEGAN, [jobs])
        late = [float(seconds) for seconds, in cursor.fetchall()]

    assert 40 == len(late)
    assert 0 <= min(late), "it began before its moment"
    assert any(row.started_at == row.run_at for row in rows), "none was claimed before its moment"


def test_a_job_that_is_held_back_for_its_moment_goes_back_when_the_worker_stops(workers, enqueue, monkeypatch):
    monkeypatch.setattr("apps.jobs.scheduling.dispatcher.LEAD", 60.0)
    worker = workers.start(slots=1)
    with running(Dispatcher(Config(by="beat:test:3", duty="dispatch.test")).run):
        held = enqueue(worker, "effect", delay=timedelta(seconds=50))
        until(lambda: Job.objects.filter(id=held, status="running").exists(), timeout=30)
    worker.stop()
    row = Job.objects.get(id=held)

    assert ("queued", 0, 0) == (row.status, row.attempt, row.rescues)
