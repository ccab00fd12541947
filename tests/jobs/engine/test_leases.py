"""A worker that is declared dead while it lives: what it holds ends here, its late writes are refused, and it goes on."""

import signal

import psutil
import pytest

from apps.jobs.lifecycle import Status
from apps.jobs.models import StaleWrite, Worker
from tests.jobs.engine.conftest import ended, in_status
from tests.jobs.engine.test_endings import history
from tests.support import effects, factories
from tests.support.waiting import until


def declare_dead(worker_id):
    """End a worker's row, as the dispatcher does when its lease has ended."""
    with factories.own_connection("somebody") as somebody:
        somebody.execute("UPDATE job_worker SET ended_at = clock_timestamp(), end_reason = 'by a test' WHERE id = %s", [worker_id])


def test_a_worker_declared_dead_ends_its_children_and_goes_on_under_a_new_row(workers, enqueue, desk):
    worker = workers.start(slots=2, lease_seconds=3)
    before = worker.id()
    job_id = enqueue(worker, "wait", desk=desk)
    pid = until(lambda: desk.began(job_id), timeout=30)
    declare_dead(before)
    until(lambda: desk.began(job_id, attempt=2), timeout=60, message="nobody took it over")   # its own understudy rescues
    desk.go()
    (row,) = ended(job_id)
    (after,) = ended(enqueue(worker))

    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    assert before != worker.id()
    assert (Status.COMPLETED, 0) == (row.status, row.failures)
    assert history(job_id) in (["stopped", "completed"], ["worker_lost", "completed"])   # who of the two was first
    assert (Status.COMPLETED, worker.id()) == (after.status, after.worker_id)
    assert Worker.objects.get(id=before).ended_at is not None


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_the_transaction_of_a_job_that_was_taken_is_refused_and_its_effect_undone(workers, enqueue, desk, pool):
    worker = workers.start(pool=pool, slots=2, lease_seconds=60)   # it hears of nothing by itself before the end
    job_id = enqueue(worker, "transaction_at_desk", value="once", desk=desk)
    until(lambda: desk.began(job_id), timeout=30)
    with factories.own_connection("somebody") as somebody:   # as a rescue does, and a claim after it
        somebody.execute("UPDATE job SET fence = nextval('job_fence'), attempt = 2 WHERE id = %s", [job_id])
    taken = factories.row(job_id)
    desk.go()
    until(lambda: StaleWrite.objects.filter(job_id=job_id).exists(), timeout=60, message="no late write was refused")

    row = factories.row(job_id)
    assert [] == effects.of(job_id)
    assert (taken.status, taken.fence, None) == (row.status, row.fence, row.result)


def test_what_a_frozen_worker_held_is_taken_over_and_its_late_settle_stands_in_the_ledger(workers, enqueue, desk):
    victim = workers.start(slots=1, lease_seconds=2)
    heir = workers.start(slots=1, lease_seconds=2, queues=[victim.queue])
    frozen = other = None
    while frozen is None:   # whichever of the two takes it is the one that freezes
        job_id = enqueue(victim, "wait", value="first", desk=desk)
        pid = until(lambda job_id=job_id: desk.began(job_id), timeout=30)
        frozen, other = (victim, heir) if pid in victim.children() else (heir, victim)
    fence = factories.row(job_id).fence
    frozen.freeze()
    until(lambda: desk.began(job_id, attempt=2), timeout=60, message="nobody took it over")
    desk.go()
    in_status(job_id, Status.COMPLETED)
    frozen.thaw()
    until(lambda: StaleWrite.objects.filter(job_id=job_id).exists(), timeout=60, message="no late write was refused")

    row = factories.row(job_id)
    assert (Status.COMPLETED, 2, other.id()) == (row.status, row.attempt, row.worker_id)
    assert {fence} == set(StaleWrite.objects.filter(job_id=job_id).values_list("fence", flat=True))
    assert [f"{job_id}.1", f"{job_id}.2"] == desk.beginnings()


def test_a_stopped_main_process_whose_children_go_on_is_refused_too(workers, enqueue, desk):
    victim = workers.start(slots=1, lease_seconds=2)
    job_id = enqueue(victim, "wait", value="late", desk=desk, max_attempts=1)
    until(lambda: desk.began(job_id), timeout=30)
    victim.send(signal.SIGSTOP)
    heir = workers.start(slots=1, lease_seconds=2, queues=[victim.queue])
    until(lambda: desk.began(job_id, attempt=2), timeout=60, message="nobody took it over")
    desk.go()
    in_status(job_id, Status.COMPLETED)
    victim.send(signal.SIGCONT)
    until(lambda: StaleWrite.objects.filter(job_id=job_id).exists(), timeout=60, message="no late write was refused")

    row = factories.row(job_id)
    assert (heir.id(), 0, 1) == (row.worker_id, row.failures, row.rescues)
    until(lambda: victim.row() is not None, timeout=30, message="it did not start anew")
    assert [Status.COMPLETED] * 4 == [each.status for each in ended(*[enqueue(victim) for _ in range(4)])]


def test_a_lost_database_connection_of_the_worker_costs_nobody_anything(prefork, enqueue):
    jobs = [enqueue(prefork, seconds=0.01) for _ in range(300)]
    with factories.own_connection("somebody") as somebody:
        for _ in range(10):
            before = factories.Job.objects.filter(status=Status.COMPLETED).count()
            somebody.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s",
                [f"latchwork {prefork.name}@test"],
            )
            until(lambda before=before: factories.Job.objects.filter(status=Status.COMPLETED).count() >= min(before + 5, 300), timeout=60)
    rows = ended(*jobs)

    assert {(Status.COMPLETED, 1, 0, 0)} == {(row.status, row.attempt, row.failures, row.rescues) for row in rows}
    assert 0 == StaleWrite.objects.count()


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_a_handler_that_holds_its_row_for_longer_than_the_lease_keeps_it(workers, enqueue, pool):
    worker = workers.start(pool=pool, slots=1, lease_seconds=1)
    (row,) = ended(enqueue(worker, "complete", seconds=3.0))

    assert (Status.COMPLETED, 1, 0) == (row.status, row.attempt, row.rescues)
    assert 1 == len(effects.of(row.id))
    assert 0 == StaleWrite.objects.count()
