"""A whole worker is killed after its jobs have ended and before it could settle them: they do not run again."""

import os
from contextlib import contextmanager
from threading import Thread
from types import SimpleNamespace

import psycopg
import pytest
from django.db import connection

from apps.jobs.conf import Config
from apps.jobs.engine import poolside, remains, shelf
from apps.jobs.lifecycle import AttemptOutcome, Status
from apps.jobs.models import Job, StaleWrite, Worker
from apps.jobs.transitions import presence
from apps.jobs.transitions.connection import connect
from apps.jobs.transitions.statement import on_django
from tests.jobs.engine.conftest import ended, in_status
from tests.jobs.engine.test_endings import history
from tests.jobs.engine.test_leases import declare_dead
from tests.jobs.engine.test_shelf import LONG_AGO, dead
from tests.jobs.engine.test_together import POOLS, gathered, taught, untouched
from tests.support import effects, factories, memory
from tests.support.waiting import until

LONG_LEASE = 3600   # seconds: nothing that is seen here comes of its end
BEFORE = 4


@pytest.fixture
def folder(db):
    with memory.folder() as made:
        yield made


@contextmanager
def nothing_settled_by(worker):
    """Let nothing that it wants to settle happen; it can claim rows meanwhile, and its handlers run."""
    with factories.own_connection() as other, other.transaction():
        other.execute("LOCK TABLE job_tally IN EXCLUSIVE MODE")
        yield
        other.execute(   # what waits here would happen although nobody waits for it any more
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name = %s",
            [f"latchwork {worker.name}@test"],
        )


@pytest.fixture(params=POOLS)
def killed(request, workers, enqueue, desk, folder):
    """A worker that was killed while one of its jobs ran: `early` ones had ended by then, and `late` ones not begun."""
    worker = taught(workers.start(pool=request.param, slots=1, lease_seconds=LONG_LEASE, JOBS_SHELF_DIR=str(folder)))
    with nothing_settled_by(worker):
        with gathered(worker):
            early = [enqueue(worker, "effect") for _ in range(BEFORE)]
            running = enqueue(worker, "wait", desk=desk)
            late = [enqueue(worker, "effect") for _ in range(BEFORE)]
        made = SimpleNamespace(queue=worker.queue, pool=request.param, id=worker.id(), early=early, running=running, late=late)
        until(lambda: desk.began(running), timeout=30)
        worker.kill_group()
    desk.go()
    assert {Status.RUNNING} == {factories.row(job_id).status for job_id in (*early, running, *late)}
    return made


def test_what_has_ended_is_settled_by_the_next_worker_and_what_ran_runs_again_at_once(killed, workers, folder):
    another = workers.start(
        pool=killed.pool, slots=1, queues=[killed.queue], lease_seconds=LONG_LEASE, JOBS_SHELF_DIR=str(folder),
    )
    rows, others = ended(*killed.early, *killed.late), ended(killed.running)
    (event,) = another.events("worker.found_killed")

    assert [] == untouched(rows)
    assert [1] * 2 * BEFORE == [len(effects.of(job_id)) for job_id in (*killed.early, *killed.late)]
    assert [killed.id] * BEFORE + [another.id()] * BEFORE == [row.worker_id for row in rows]
    assert [(Status.COMPLETED, 2, 0, 1)] == [(row.status, row.attempt, row.failures, row.rescues) for row in others]
    assert ["worker_lost", "completed"] == history(killed.running)
    assert remains.REASON == Worker.objects.get(id=killed.id).end_reason
    assert (str(killed.id), BEFORE, BEFORE) == (event["worker"], event["settled"], event["released"])
    assert 0 == StaleWrite.objects.count()


def test_where_nothing_was_left_they_run_again_and_are_charged(killed, workers, folder):
    """What the others show is what was left: without it the end of the lease decides."""
    for found in shelf.abandoned(folder):
        found.take_down()
    workers.start(pool=killed.pool, slots=1, queues=[killed.queue], JOBS_SHELF_DIR=str(folder))
    declare_dead(killed.id)
    rows = ended(*killed.early, killed.running, *killed.late)

    assert [2] * BEFORE == [len(effects.of(job_id)) for job_id in killed.early]
    assert {1} == {row.rescues for row in rows}


def test_a_job_that_was_alone_and_one_that_was_not_handed_over_are_told_apart(workers, enqueue, desk, folder):
    worker = workers.start(slots=1, lease_seconds=LONG_LEASE, JOBS_SHELF_DIR=str(folder))
    taught(worker, "scripted.alone")
    with gathered(worker):
        running = enqueue(worker, "wait", desk=desk, type_name="scripted.alone")
        claimed = [enqueue(worker, type_name="scripted.alone") for _ in range(2)]
    until(lambda: desk.began(running), timeout=30)
    worker.kill_group()
    assert [Status.RUNNING] * 3 == [factories.row(job_id).status for job_id in (running, *claimed)]
    desk.go()
    workers.start(slots=1, queues=[worker.queue], lease_seconds=LONG_LEASE, JOBS_SHELF_DIR=str(folder))

    assert [(2, 1), (1, 0), (1, 0)] == [(row.attempt, row.rescues) for row in ended(running, *claimed)]


def test_a_worker_that_stands_beside_it_does_the_same(workers, enqueue, desk, folder):
    """Its lease of some seconds says how often it looks; that of the killed one would last for an hour."""
    workers.start(slots=1, lease_seconds=3, JOBS_SHELF_DIR=str(folder))
    worker = workers.start(slots=1, lease_seconds=LONG_LEASE, JOBS_SHELF_DIR=str(folder))
    running = enqueue(worker, "wait", desk=desk)
    until(lambda: desk.began(running), timeout=30)
    worker.kill_group()

    assert 1 == in_status(running, Status.QUEUED).rescues


def test_a_stop_leaves_nothing(workers, folder):
    worker = workers.start(slots=1, JOBS_SHELF_DIR=str(folder))
    before = list(folder.iterdir())
    worker.stop()

    assert (1, []) == (len(before), list(folder.iterdir()))


def test_after_a_new_life_it_is_the_new_row_that_is_ended(workers, folder):
    worker = workers.start(slots=1, lease_seconds=2, JOBS_SHELF_DIR=str(folder))
    first = worker.id()
    declare_dead(first)
    second = until(lambda: worker.row() and worker.id(), timeout=30)
    worker.kill_group()
    (found,) = shelf.abandoned(folder)

    assert (True, second) == (first != second, found.signed())


# What is left by hand, and looked at in this process.


@pytest.fixture
def claims(folder):
    """Jobs that a worker holds, who has a row."""
    worker_id = factories.worker()
    factories.jobs(3)
    return factories.claims(worker_id)


@pytest.fixture
def leave(folder, claims):
    """Leave the ends of jobs as a worker that was killed has left them; `changes` are of the first one."""
    worker = worker_of(claims)

    def left(**changes):
        endings = [factories.end(claim, **(changes if number == 0 else {})) for number, claim in enumerate(claims)]
        told = [poolside._packed(ending) for ending in endings]
        dead(folder, told=told, worker=worker, begun=[claim.fence for claim in claims])

    return left


@pytest.fixture
def look(folder):
    return lambda: remains.look(Config(shelf_dir=folder))


def worker_of(claims):
    return Job.objects.get(id=claims[0].id).worker_id


def statuses(claims):
    return [factories.row(claim.id).status for claim in claims]


def test_ends_of_every_kind_lead_where_they_would_have_led(claims, leave, look, folder):
    worker = worker_of(claims)
    leave(outcome=AttemptOutcome.FAILED, error=factories.CANCELLED, delay_seconds=60.0)
    look()

    assert [Status.RETRYING, Status.COMPLETED, Status.COMPLETED] == statuses(claims)
    assert [] == list(folder.iterdir())
    assert remains.REASON == Worker.objects.get(id=worker).end_reason


def test_what_was_to_be_cancelled_and_had_not_begun_is_cancelled(claims, look, folder):
    Job.objects.filter(id=claims[0].id).update(cancel_requested_at="2026-11-26T00:00:00Z")
    dead(folder, told=[], worker=worker_of(claims))
    look()

    assert [Status.CANCELLED, Status.QUEUED, Status.QUEUED] == statuses(claims)
    assert {0} == {factories.row(claim.id).rescues for claim in claims}


def test_what_was_settled_or_taken_away_before_is_not_told_again(claims, leave, look):
    leave()
    factories.settled(worker_of(claims), factories.end(claims[0]))
    with connection.cursor() as cursor:   # as a rescue does
        cursor.execute("UPDATE job SET status = 'queued', fence = NULL, worker_id = NULL WHERE id = %s", [claims[1].id])
    look()

    assert [Status.COMPLETED, Status.QUEUED, Status.COMPLETED] == statuses(claims)
    assert 0 == StaleWrite.objects.count()


def test_an_end_that_the_server_refuses_keeps_no_other_from_being_settled(claims, leave, look):
    leave(result='"\\u0000"')
    look()

    assert [Status.RUNNING, Status.COMPLETED, Status.COMPLETED] == statuses(claims)   # the first is the rescue's


def test_a_row_that_somebody_holds_is_settled_when_it_is_free(claims, leave, look):
    leave()
    with factories.own_connection() as other, other.transaction():
        other.execute("SELECT FROM job WHERE id = %s FOR UPDATE", [claims[0].id])
        looking = Thread(target=look)
        looking.start()
        until(lambda: statuses(claims).count(Status.COMPLETED) == 2, timeout=30)
    looking.join(30)

    assert [Status.COMPLETED] * 3 == statuses(claims)


def test_who_holds_a_row_for_long_delays_it_and_loses_nothing(claims, leave, look, monkeypatch):
    leave()
    worker = worker_of(claims)
    monkeypatch.setattr(remains, "PATIENCE", 1)
    with factories.own_connection() as other, other.transaction():
        other.execute("SELECT FROM job WHERE id = %s FOR UPDATE", [claims[0].id])
        look()
        before = sorted(statuses(claims)), Worker.objects.get(id=worker).ended_at
    look()

    assert ([Status.COMPLETED, Status.COMPLETED, Status.RUNNING], None) == before
    assert [Status.COMPLETED] * 3 == statuses(claims)


def test_a_database_that_is_away_or_refuses_everything_delays_it_and_loses_nothing(claims, leave, look, monkeypatch):
    leave()

    def away(*_args, **_options):
        raise psycopg.OperationalError("nobody is there")

    def read_only(*args, **options):
        opened = connect(*args, **options)
        opened.execute("SET default_transaction_read_only = on")
        return opened

    for way in (away, read_only):
        monkeypatch.setattr(remains, "connect", way)
        look()
    with factories.own_connection() as other, other.transaction():
        monkeypatch.setattr(remains, "connect", connect)
        other.execute("LOCK TABLE job_tally IN EXCLUSIVE MODE")
        look()   # until its patience with locks ends, in two seconds
    before = statuses(claims)
    look()

    assert ([Status.RUNNING] * 3, [Status.COMPLETED] * 3) == (before, statuses(claims))


def test_what_cannot_be_read_keeps_nobody_from_the_others_and_is_gone_after_a_day(claims, leave, look, folder):
    dead(folder, told=["no ending"], worker=worker_of(claims))
    (broken,) = folder.iterdir()
    leave()
    look()
    between = list(folder.iterdir())
    os.utime(broken, (LONG_AGO, LONG_AGO))
    look()

    assert [Status.COMPLETED] * 3 == statuses(claims)
    assert ([broken], []) == (between, list(folder.iterdir()))


def test_whose_worker_had_no_row_yet_had_nothing(claims, look, folder):
    dead(folder, told=[])
    look()

    assert ([], [Status.RUNNING] * 3) == (list(folder.iterdir()), statuses(claims))
    assert presence.beat(on_django(), worker=worker_of(claims), lease_seconds=30, queues=[]).get()
