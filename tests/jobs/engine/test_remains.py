"""A whole worker is killed after its jobs have ended and before it could settle them: they do not run again."""

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
from apps.jobs.transitions.connection import connect
from tests.jobs.engine.conftest import ended
from tests.jobs.engine.test_endings import history
from tests.jobs.engine.test_leases import declare_dead
from tests.jobs.engine.test_shelf import dead
from tests.jobs.engine.test_together import POOLS, gathered, taught, untouched
from tests.support import effects, factories
from tests.support.waiting import until

LONG_LEASE = 3600   # seconds: nothing that is seen here comes of its end
BEFORE = 4


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
def killed(request, workers, enqueue, desk):
    """A worker that was killed while one of its jobs ran: `early` ones had ended by then, and `late` ones not begun."""
    worker = taught(workers.start(pool=request.param, slots=1, lease_seconds=LONG_LEASE))
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


def test_what_has_ended_is_settled_by_the_next_worker_and_what_ran_runs_again_at_once(killed, workers):
    another = workers.start(pool=killed.pool, slots=1, queues=[killed.queue], lease_seconds=LONG_LEASE)
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


def test_a_worker_that_stands_beside_it_does_the_same(workers, enqueue, desk):
    """Its lease of some seconds says how often it looks; that of the killed one would last for an hour."""
    beside = workers.start(slots=1, lease_seconds=3)
    worker = workers.start(slots=1, queues=[beside.queue, "killed"], lease_seconds=LONG_LEASE)
    running = enqueue(worker, "wait", desk=desk, queue="killed")
    until(lambda: desk.began(running), timeout=30)
    worker.kill_group()
    desk.go()

    until(lambda: factories.row(running).status == Status.QUEUED, timeout=30, message="nobody noticed that it was killed")


def test_where_nothing_was_left_they_run_again(killed, workers):
    """What the others show is what was left: without it the end of the lease decides, and everything runs again."""
    for found in shelf.abandoned():
        found.take_down()
    workers.start(pool=killed.pool, slots=1, queues=[killed.queue])
    declare_dead(killed.id)
    ended(*killed.early)

    assert [2] * BEFORE == [len(effects.of(job_id)) for job_id in killed.early]
    assert {1} == {row.rescues for row in ended(*killed.early, killed.running, *killed.late)}


# What is left by hand, and looked at in this process.


@pytest.fixture
def here(db, tmp_path, monkeypatch):
    """A folder for what is left that no other worker looks into."""
    monkeypatch.setattr(shelf, "FOLDER", tmp_path)
    return tmp_path


@pytest.fixture
def claims(here):
    """Jobs that a worker holds, who has a row."""
    worker_id = factories.worker()
    factories.jobs(3)
    return factories.claims(worker_id)


def left(claims, **changes):
    """Leave the ends of jobs as a worker that was killed has left them."""
    endings = [factories.end(claim, **(changes if number == 0 else {})) for number, claim in enumerate(claims)]
    told = [poolside._packed(ending) for ending in endings]
    dead(told=told, worker=worker_of(claims), begun=[(claim.id, claim.fence) for claim in claims])


def worker_of(claims):
    return Job.objects.get(id=claims[0].id).worker_id


def look():
    remains.look(Config(), lambda: False)


def statuses(claims):
    return [factories.row(claim.id).status for claim in claims]


def test_ends_of_every_kind_lead_where_they_would_have_led(claims, here):
    left(claims, outcome=AttemptOutcome.FAILED, error=factories.CANCELLED, delay_seconds=60.0)
    look()

    assert [Status.RETRYING, Status.COMPLETED, Status.COMPLETED] == statuses(claims)
    assert [] == list(here.iterdir())
    assert Worker.objects.get(id=worker_of(claims[1:])).ended_at is not None


def test_what_was_settled_or_taken_away_before_is_not_told_again(claims, here):
    factories.settled(worker_of(claims), factories.end(claims[0]))
    with connection.cursor() as cursor:   # as a rescue does
        cursor.execute("UPDATE job SET status = 'queued', fence = NULL, worker_id = NULL WHERE id = %s", [claims[1].id])
    left(claims)
    look()

    assert [Status.COMPLETED, Status.QUEUED, Status.COMPLETED] == statuses(claims)
    assert 0 == StaleWrite.objects.count()


def test_an_end_that_the_server_refuses_keeps_no_other_from_being_settled(claims):
    left(claims, result='"\\u0000"')
    look()

    assert [Status.RUNNING, Status.COMPLETED, Status.COMPLETED] == statuses(claims)   # the first is the rescue's


def test_a_row_that_somebody_holds_is_settled_when_it_is_free(claims):
    left(claims)
    with factories.own_connection() as other, other.transaction():
        other.execute("SELECT FROM job WHERE id = %s FOR UPDATE", [claims[0].id])
        looking = Thread(target=look)
        looking.start()
        until(lambda: statuses(claims).count(Status.COMPLETED) == 2, timeout=30)
    looking.join(30)

    assert [Status.COMPLETED] * 3 == statuses(claims)


def test_while_the_database_is_away_it_is_tried_again(claims, monkeypatch):
    tries = []

    def away(*args, **options):
        tries.append(args)
        if len(tries) < 3:
            raise psycopg.OperationalError("nobody is there")
        return connect(*args, **options)

    monkeypatch.setattr(remains, "connect", away)
    left(claims)
    look()

    assert (3, [Status.COMPLETED] * 3) == (len(tries), statuses(claims))


def test_whoever_is_told_to_stop_leaves_it_to_the_next(claims, here):
    left(claims)
    remains.look(Config(), lambda: True)
    unsettled = statuses(claims)
    look()

    assert ([Status.RUNNING] * 3, [Status.COMPLETED] * 3, []) == (unsettled, statuses(claims), list(here.iterdir()))
