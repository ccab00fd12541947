"""Which worker takes what: queues, types and their versions, and messages that nobody here has sent."""

from django.db import connection

from apps.jobs import selectors
from apps.jobs.lifecycle import Status
from tests.jobs.engine.conftest import ended, in_status, known
from tests.support import factories
from tests.support.waiting import until
from tests.support.workers import SCRIPTED

NEWER, OLDER, ORDINARY = "tests.support.newer", "tests.support.older", "tests.support.ordinary"


def test_a_type_that_only_a_new_worker_knows_waits_for_it_and_says_why(prefork, workers, enqueue):
    job_id = factories.job(type="scripted.new", queue=prefork.queue)
    ended(*[enqueue(prefork) for _ in range(20)])   # the old worker works on, past it
    waiting = factories.row(job_id)
    reason = selectors.why_waiting(waiting)
    workers.start(slots=1, queues=[prefork.queue], modules=[SCRIPTED, NEWER])
    (row,) = ended(job_id)

    assert (Status.QUEUED, 0) == (waiting.status, waiting.attempt)
    assert "no worker that is alive knows scripted.new" in reason
    assert (Status.COMPLETED, "done by a new worker", 1) == (row.status, row.result, row.attempt)
    assert [] == prefork.events("message.refused")


def test_a_payload_of_a_newer_version_is_left_to_newer_workers_and_of_an_older_to_older(workers):
    old = workers.add(slots=1, modules=[OLDER])
    new = workers.add(slots=1, modules=[NEWER], queues=[old.queue])
    old.launch(), new.launch()
    old.wait_ready(), new.wait_ready()
    firsts = factories.jobs(5, type="scripted.moved", queue=old.queue, payload_version=1)
    seconds = factories.jobs(5, type="scripted.moved", queue=old.queue, payload_version=2)
    third = factories.job(type="scripted.moved", queue=old.queue, payload_version=3)
    rows = ended(*firsts, *seconds)

    assert ["version 1"] * 5 + ["version 2"] * 5 == [row.result for row in rows]
    assert [1] * 10 == [row.attempt for row in rows]
    assert "payload version 3" in selectors.why_waiting(factories.row(third))


def test_a_worker_without_q_serves_every_queue_and_those_whose_row_appears(workers, enqueue):
    worker = workers.start(slots=1, queues=None, modules=[SCRIPTED])
    of_a_type = enqueue(worker, queue="scripted")
    before = set(worker.row()["queues"])
    known("appeared-later")
    of_a_row = enqueue(worker, queue="appeared-later")
    rows = ended(of_a_type, of_a_row)

    assert {"scripted", "default"} <= before
    assert "appeared-later" not in before
    assert [Status.COMPLETED] * 2 == [row.status for row in rows]
    until(lambda: "appeared-later" in worker.row()["queues"], timeout=30, message="its row does not say so")


def test_q_limits_a_worker_to_its_queues(prefork, enqueue):
    known("nobody-serves-this")
    job_id = enqueue(prefork, queue="nobody-serves-this")
    ended(*[enqueue(prefork) for _ in range(5)])
    row = factories.row(job_id)

    assert (Status.QUEUED, 0) == (row.status, row.attempt)
    assert "serves the queue nobody-serves-this" in selectors.why_waiting(row)


def test_a_pool_whose_handlers_cannot_be_ended_is_refused_with_what_to_do(workers):
    worker = workers.add(pool="solo", slots=1).launch()

    assert 0 != worker.wait()
    assert "--pool=solo: jobs run in prefork or threads" in worker.tail()


def test_a_message_that_names_a_job_type_starts_nothing(prefork, enqueue):
    from celery import current_app

    current_app.send_task("scripted.run", args=[{"do": "die"}], queue=prefork.queue, retry=False)
    until(lambda: prefork.events("message.refused", task="scripted.run"), timeout=30)
    rows = ended(*[enqueue(prefork) for _ in range(5)])

    assert [(Status.COMPLETED, 1)] * 5 == [(row.status, row.attempt) for row in rows]


def test_superfluous_tickets_start_nothing_twice(prefork, enqueue):
    from celery import current_app

    from apps.jobs.publishing.bell import Bell

    jobs = [enqueue(prefork, "effect", seconds=0.05) for _ in range(10)]
    bell = Bell(current_app._get_current_object())
    bell.put(prefork.queue, count=200, most=1000)
    bell.close()
    rows = ended(*jobs)

    assert [(Status.COMPLETED, 1)] * 10 == [(row.status, row.attempt) for row in rows]
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM scripted_effect")
        assert (10,) == cursor.fetchone()


def test_a_revoke_through_celerys_control_cancels_the_row(prefork, enqueue, desk):
    from celery import current_app

    job_id = enqueue(prefork, "wait", desk=desk)
    until(lambda: desk.began(job_id), timeout=30)
    current_app.control.revoke(str(job_id), terminate=True, signal="SIGKILL", destination=[f"{prefork.name}@test"])
    row = in_status(job_id, Status.CANCELLED)

    assert ("Revoked", 1, 0) == (row.error["class"], row.attempt, row.rescues)


def test_a_job_revoked_before_it_starts_is_cancelled_when_it_is_claimed(prefork, enqueue):
    from celery import current_app

    from core.ids import uuid7

    job_id = uuid7()
    told = [f"{prefork.name}@test"]
    current_app.control.revoke(str(job_id), destination=told)
    until(
        lambda: prefork.events(f"Tasks flagged as revoked: {job_id}") or [
            line for line in prefork.lines() if "revoked" in line and str(job_id) in line
        ],
        timeout=30, message="it was not told",
    )
    enqueue(prefork, job_id=job_id)
    row = in_status(job_id, Status.CANCELLED)

    assert (Status.CANCELLED, "Revoked") == (row.status, row.error["class"])
    assert [Status.COMPLETED] == [each.status for each in ended(enqueue(prefork))]


def test_celery_sees_a_running_job_as_an_ordinary_task(prefork, enqueue, desk):
    from celery import current_app

    job_id = enqueue(prefork, "wait", desk=desk)
    until(lambda: desk.began(job_id), timeout=30)
    name = f"{prefork.name}@test"
    active = until(lambda: current_app.control.inspect([name], timeout=5).active(), timeout=60)
    desk.go()
    ended(job_id)

    assert [(str(job_id), "scripted.run")] == [(task["id"], task["name"]) for task in active[name]]


def test_celerys_own_tasks_run_beside_jobs(workers, enqueue, tmp_path):
    from celery import current_app

    worker = workers.start(slots=2, modules=[SCRIPTED, ORDINARY])
    jobs = [enqueue(worker, seconds=0.05) for _ in range(20)]
    notes = [tmp_path / f"note-{number}" for number in range(10)]
    for note in notes:
        current_app.send_task("ordinary.touch", args=[str(note)], queue=worker.queue, retry=False)
    rows = ended(*jobs)

    assert [(Status.COMPLETED, 1)] * 20 == [(row.status, row.attempt) for row in rows]
    until(lambda: all(note.exists() for note in notes), timeout=30, message="the tasks did not run")
    assert {int(note.read_text()) for note in notes} <= set(worker.children())


def test_a_job_whose_slot_an_ordinary_task_holds_is_given_back_to_whom_has_a_free_one(workers, enqueue, tmp_path):
    from celery import current_app

    busy = workers.start(slots=1, modules=[SCRIPTED, ORDINARY])
    began, go = tmp_path / "began", tmp_path / "go"
    current_app.send_task("ordinary.wait", args=[str(began), str(go)], queue=busy.queue, retry=False)
    until(began.exists, timeout=30)
    job_id = enqueue(busy)
    in_status(job_id, Status.RUNNING)   # claimed by the only worker there is, and waiting for its slot
    idle = workers.start(slots=1, queues=[busy.queue])
    (row,) = ended(job_id)
    go.touch()

    assert (Status.COMPLETED, 1, idle.id()) == (row.status, row.attempt, row.worker_id)
