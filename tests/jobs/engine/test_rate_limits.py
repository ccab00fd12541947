"""Celery's rate limits are for ordinary tasks: set by whom and how they may be, jobs hear nothing of them."""

import pytest

from apps.jobs import services
from apps.jobs.engine.poolside import TOGETHER
from apps.jobs.lifecycle import Status
from config.celery import app
from tests.jobs.engine.conftest import ended, in_status
from tests.support.waiting import until
from tests.support.workers import SCRIPTED

ONE_AN_HOUR = "1/h"
ORDINARY = "tests.support.ordinary"


def limit(worker, *names):
    """Tell a worker as `celery control rate_limit` does."""
    name = f"{worker.name}@test"
    for each in names:
        (reply,) = app.control.rate_limit(each, ONE_AN_HOUR, destination=[name], reply=True, timeout=30)
        assert {"ok": "new rate limit set successfully"} == reply[name]


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_a_limit_by_remote_control_changes_nothing_for_jobs(workers, enqueue, desk, pool):
    worker = workers.start(pool=pool, slots=1, modules=[SCRIPTED, ORDINARY])
    limit(worker, "scripted.run", TOGETHER, "ordinary.touch")
    first = enqueue(worker, "wait", desk=desk)
    until(lambda: desk.began(first), timeout=30)
    cancelled, *others = [enqueue(worker, "wait", desk=desk) for _ in range(3)]
    services.cancel(cancelled)
    in_status(cancelled, Status.CANCELLED)
    desk.go()
    rows = ended(first, *others, *[enqueue(worker) for _ in range(20)])

    assert [(Status.COMPLETED, 1)] * 23 == [(row.status, row.attempt) for row in rows]
    assert not desk.began(cancelled)


def test_a_default_limit_of_all_tasks_is_one_of_no_job_and_ordinary_tasks_keep_it(workers, enqueue, tmp_path):
    worker = workers.start(slots=1, modules=[SCRIPTED, ORDINARY], options=["--", f"task.default_rate_limit={ONE_AN_HOUR}"])
    notes = [tmp_path / f"note-{number}" for number in range(2)]
    for note in notes:
        app.send_task("ordinary.touch", args=[str(note)], queue=worker.queue, retry=False)
    began, go = tmp_path / "began", tmp_path / "go"
    go.touch()
    app.send_task("ordinary.wait", args=[str(began), str(go)], queue=worker.queue, retry=False)
    until(began.exists, timeout=30)   # the worker has taken what was sent before it
    rows = ended(*[enqueue(worker) for _ in range(20)])

    assert [(Status.COMPLETED, 1)] * 20 == [(row.status, row.attempt) for row in rows]
    assert [True, False] == [note.exists() for note in notes]
