"""Celery's own options for workers go on to mean what they say, with jobs."""

import pytest

from apps.jobs.lifecycle import Status
from config.celery import app
from tests.jobs.engine.conftest import ended
from tests.support.workers import SCRIPTED


@pytest.mark.parametrize("option", ["--max-tasks-per-child=3", "--autoscale=3,1"])
def test_children_that_come_and_go_cost_nothing(workers, enqueue, option):
    worker = workers.start(slots=2, options=[option])
    rows = ended(*[enqueue(worker, "facts", seconds=0.01) for _ in range(60)])

    assert [(Status.COMPLETED, 1, 0)] * 60 == [(row.status, row.attempt, row.rescues) for row in rows]
    if "tasks" in option:   # what it counts are hand-overs, which may carry several of these
        assert len({row.result["pid"] for row in rows}) > 2


def test_children_that_would_not_be_forked_are_refused_with_what_to_do(workers):
    worker = workers.add(slots=1, modules=[SCRIPTED, "tests.support.spawning"]).launch()

    assert 0 != worker.wait()
    assert "worker_pool_start_method=spawn" in worker.tail()
    assert "leave it at fork, or take --pool=threads" in worker.tail()


def test_events_tell_of_each_job_as_of_an_ordinary_task(workers, enqueue):
    worker = workers.start(slots=1, options=["-E"])
    seen = []

    def note(event):
        seen.append((event["type"], event.get("uuid")))

    kinds = ("task-received", "task-started", "task-succeeded", "task-failed")
    with app.connection_for_read() as broker:
        receiver = app.events.Receiver(broker, handlers=dict.fromkeys(kinds, note))
        turns = receiver.itercapture(limit=None, timeout=30, wakeup=False)
        next(turns)   # it listens
        good, bad = enqueue(worker), enqueue(worker, "raise", value="x", type_name="scripted.once")
        expected = {
            *((kind, str(job_id)) for job_id in (good, bad) for kind in ("task-received", "task-started")),
            ("task-succeeded", str(good)), ("task-failed", str(bad)),
        }
        for _ in turns:
            if expected <= set(seen):
                break
        turns.close()

    assert expected == set(seen)
    assert len(seen) == len(set(seen))
