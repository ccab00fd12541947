"""The three duties, against a real database and a real broker."""

import threading
import uuid
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from types import SimpleNamespace

import pytest

from apps.jobs import services
from apps.jobs.lifecycle import Status
from apps.jobs.models import Duty, Job, Worker
from apps.jobs.scheduling import hold as holding
from apps.jobs.scheduling.dispatcher import LEAD, NEGLECTED_REST, RESCUE_REST
from apps.jobs.transitions import due, pause, presence, rescue
from apps.jobs.transitions.statement import on_django
from tests.jobs.scheduling.conftest import running
from tests.support.factories import (
    claim,
    clean_connection,
    job,
    job_in,
    jobs,
    own_connection,
    registered,
    row,
    worker,
)
from tests.support.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)
LONG_AGO = datetime(2001, 1, 1, tzinfo=UTC)


def overdue(**changes):
    job_id = job_in(Status.SCHEDULED, **changes)
    Job.objects.filter(id=job_id).update(run_at=LONG_AGO)
    return job_id


def lost(**changes):
    """Store a job that runs at a worker whose lease has ended."""
    job_id, holder = job(**changes), worker(queues=[changes.get("queue", "default")])
    claim(holder, queue=changes.get("queue", "default"))
    Worker.objects.filter(id=holder).update(lease_until=LONG_AGO)
    return job_id, holder


def statuses(*ids):
    return [row(each).status for each in ids]


def test_a_due_job_becomes_ready_and_its_queue_is_rung(dispatcher, tickets):
    job_id = overdue(queue="mail")
    dispatcher.look()

    assert [Status.QUEUED] == statuses(job_id)
    assert 1 == tickets("mail")


def test_a_job_is_neither_moved_nor_rung_for_before_its_time(dispatcher, tickets):
    job_id = job_in(Status.SCHEDULED)
    dispatcher.look()

    assert [Status.SCHEDULED] == statuses(job_id)
    assert 0 == tickets("default")


def test_a_due_job_that_was_cancelled_ends(dispatcher, tickets):
    job_id = overdue()
    Job.objects.filter(id=job_id).update(cancel_requested_at=LONG_AGO)
    dispatcher.look()

    assert [Status.CANCELLED] == statuses(job_id)
    assert 0 == tickets("default")


def test_one_look_moves_more_than_a_batch_the_oldest_first(make_dispatcher, monkeypatch):
    dispatcher, order = make_dispatcher(batch=10), []
    ids = [overdue() for _ in range(35)]
    for number, each in enumerate(reversed(ids)):
        Job.objects.filter(id=each).update(run_at=LONG_AGO + timedelta(seconds=number))
    move = due.move

    def watched(execute, **options):
        order.append(Job.objects.filter(status=Status.QUEUED).count())
        return move(execute, **options)

    monkeypatch.setattr(due, "move", watched)
    dispatcher.look()

    assert [0, 10, 20, 30] == order
    assert 35 == Job.objects.filter(status=Status.QUEUED).count()


def test_the_budget_of_time_ends_a_look_and_the_next_one_follows_at_once(make_dispatcher):
    dispatcher = make_dispatcher(batch=10, due_budget_seconds=-1.0)
    for _ in range(15):
        overdue()

    assert 0.0 == dispatcher.look()
    assert 10 == Job.objects.filter(status=Status.QUEUED).count()
    assert dispatcher.look() > 0
    assert 15 == Job.objects.filter(status=Status.QUEUED).count()


def test_a_row_that_somebody_holds_is_skipped_without_haste_and_moved_when_it_is_free(dispatcher, held_by_an_edit):
    held, free = overdue(), overdue()
    with held_by_an_edit(held):
        waits = [dispatcher.look() for _ in range(3)]
        assert [Status.SCHEDULED, Status.QUEUED] == statuses(held, free)
    dispatcher.look()

    assert [dispatcher.dispatcher.config.stuck_seconds] * 3 == waits
    assert [Status.QUEUED] == statuses(held)


def test_the_next_look_is_as_soon_as_the_next_job_is_due(dispatcher):
    job(delay_seconds=0.2)

    assert 0 < dispatcher.look() <= 0.2 + 0.001


def test_without_a_job_that_is_due_soon_the_next_look_is_a_quarter_of_a_second_away(dispatcher):
    job(delay_seconds=60)

    assert 0.25 == dispatcher.look()


def test_a_delayed_job_is_ready_a_moment_before_its_time_and_wakes_a_dispatcher_that_waits(dispatcher):
    with registered("test.soon"), own_connection() as other:
        other.execute("CREATE TEMP TABLE started AS SELECT clock_timestamp() AS at")
        with running(dispatcher.dispatcher.run):
            until(lambda: Duty.objects.filter(name=presence.DISPATCH).exists())
            job_id = services.enqueue("test.soon", {}, delay=timedelta(milliseconds=60))
            until(lambda: row(job_id).status == Status.QUEUED)
            now = other.execute("SELECT clock_timestamp()").fetchone()[0]

    assert row(job_id).run_at <= now + timedelta(seconds=LEAD)


def test_two_dispatchers_move_each_row_once(make_dispatcher):
    jobs(500, delay_seconds=0.05)
    moved, lock = [], threading.Lock()
    first, second = make_dispatcher(batch=20).dispatcher, make_dispatcher(batch=20).dispatcher
    both = threading.Barrier(2)

    def work(each):
        total = 0
        both.wait(10)
        while Job.objects.filter(status=Status.SCHEDULED).exists():
            total += sum(due.move(each._execute, limit=20).get().values())
        with lock:
            moved.append(total)
        clean_connection()

    threads = [threading.Thread(target=work, args=(each,)) for each in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert 500 == sum(moved)
    assert 500 == Job.objects.filter(status=Status.QUEUED).count()


def test_what_a_silent_worker_held_comes_back_and_is_rung_for(dispatcher, tickets):
    job_id, holder = lost(queue="mail")
    dispatcher.look()   # the first look sees the clock, and may not judge anybody yet
    assert [Status.RUNNING] == statuses(job_id)
    dispatcher.look()

    assert [Status.QUEUED] == statuses(job_id)
    assert row(job_id).error == {
        "class": "WorkerLost", "message": "the worker that ran this attempt was killed, or fell silent for a whole lease", "traceback": "",
    }
    assert not presence.beat(on_django(), worker=holder, lease_seconds=30, queues=[]).get()
    assert 1 <= tickets("mail")


def test_what_an_ended_worker_held_comes_back_while_silent_ones_may_not_be_judged(make_dispatcher):
    silent, _holder = lost()
    killed, holder = job(), worker(lease_seconds=3600)
    claim(holder)
    presence.end(on_django(), worker=holder, reason="its processes were killed")
    make_dispatcher(lease_seconds=3600).look()

    assert [Status.RUNNING, Status.QUEUED] == statuses(silent, killed)


def test_a_worker_is_not_rescued_before_its_lease_ends(dispatcher):
    job_id, holder = job(), worker(lease_seconds=30)
    claim(holder)
    for _ in range(3):
        dispatcher.look()

    assert [Status.RUNNING] == statuses(job_id)


def test_more_lost_jobs_than_a_batch_come_back_in_one_look(make_dispatcher):
    dispatcher, holder = make_dispatcher(batch=10), worker()
    ids = jobs(25)
    for _ in ids:
        claim(holder)
    Worker.objects.filter(id=holder).update(lease_until=LONG_AGO)
    dispatcher.look()
    dispatcher.look()

    assert {Status.QUEUED} == set(statuses(*ids))


def after_a_gap(make_dispatcher):
    """Return whether a worker can renew whose lease ended while nobody could reach the database."""
    dispatcher = make_dispatcher(lease_seconds=20.0)
    dispatcher.look()
    database_now = dispatcher.dispatcher.hold._seen
    dispatcher.dispatcher.hold._held_until = database_now   # it has run for long
    dispatcher.dispatcher.hold._seen = database_now - timedelta(seconds=8)   # and last saw the clock eight seconds ago
    _job, holder = lost()
    for _ in range(3):
        dispatcher.look()
    return presence.beat(on_django(), worker=holder, lease_seconds=20, queues=[]).get()


def test_after_a_gap_workers_can_renew_first(make_dispatcher):
    assert after_a_gap(make_dispatcher)


def test_without_the_hold_they_could_not(make_dispatcher, monkeypatch):
    monkeypatch.setattr(holding, "GAP", timedelta(days=1))

    assert not after_a_gap(make_dispatcher)


def test_a_reconnect_is_a_gap(make_dispatcher):
    dispatcher = make_dispatcher(lease_seconds=20.0)
    dispatcher.look()
    dispatcher.dispatcher.hold._held_until = dispatcher.dispatcher.hold._seen
    assert dispatcher.dispatcher.hold.until is not None
    dispatcher.dispatcher.close()
    job_id, _holder = lost()
    for _ in range(3):
        dispatcher.look()

    assert [Status.RUNNING] == statuses(job_id)


def test_a_queue_that_nobody_drains_is_rung_again(dispatcher, tickets):
    job_id = job(queue="mail")
    Job.objects.filter(id=job_id).update(run_at=LONG_AGO)
    dispatcher.look()

    assert dispatcher.dispatcher.config.tickets == tickets("mail")


def test_a_queue_whose_rows_are_fresh_is_not_rung_again(dispatcher, tickets):
    job(queue="mail")
    dispatcher.look()

    assert 0 == tickets("mail")


def test_a_look_at_neglected_queues_that_never_ends_holds_up_no_due_job(dispatcher, monkeypatch):
    """As when a transaction has held back vacuum for hours."""
    dispatcher.look()
    dispatcher.dispatcher._connection.execute("SET statement_timeout = 50")
    monkeypatch.setattr(due, "_NEGLECTED", "SELECT pg_sleep(60)::text")
    job_id = overdue()
    dispatcher.look()

    assert [Status.QUEUED] == statuses(job_id)


def test_a_look_at_neglected_queues_takes_a_small_part_of_the_time(make_dispatcher, monkeypatch):
    watched = make_dispatcher()
    asked = []

    def slow(_execute):
        asked.append(watched.clock.now)
        watched.clock.now += 3.0
        return SimpleNamespace(get=list)

    monkeypatch.setattr(due, "neglected", slow)
    for _ in range(400):
        watched.look()
    rests = [later - earlier - 3.0 for earlier, later in pairwise(asked)]

    assert NEGLECTED_REST * 3.0 <= rests[-1] < NEGLECTED_REST * 3.0 + 2.0
    assert rests[0] < 3.0   # once is no habit: the database may have stalled


def test_looks_for_lost_jobs_take_a_part_of_the_time(make_dispatcher, monkeypatch):
    watched = make_dispatcher()
    watched.look()   # the first says what time it is
    asked, real = [], rescue.rescue

    def slow(execute, **options):
        asked.append(watched.clock.now)
        watched.clock.now += 3.0
        return real(execute, **options)

    monkeypatch.setattr(rescue, "rescue", slow)
    for _ in range(100):
        watched.look()
    rests = [later - earlier - 3.0 for earlier, later in pairwise(asked)]

    assert RESCUE_REST * 3.0 == rests[-1]
    assert rests[0] < 3.0   # as above


def test_a_paused_queue_is_never_rung_for(dispatcher, tickets):
    waits = job(queue="mail")
    Job.objects.filter(id=waits).update(run_at=LONG_AGO)
    moves = overdue(queue="mail")
    pause.pause(on_django(), name="mail", by="test", reason="")
    dispatcher.look()

    assert [Status.QUEUED, Status.QUEUED] == statuses(waits, moves)
    assert 0 == tickets("mail")


def test_it_signs_life_under_its_name(dispatcher):
    dispatcher.look()

    assert "beat:test:1" == Duty.objects.get(name=presence.DISPATCH).by


def test_who_holds_its_sign_holds_up_no_job_and_costs_no_connection(dispatcher):
    presence.sign(on_django(), name=presence.DISPATCH, by="somebody")
    job_id = overdue()
    with own_connection("edit") as other, other.transaction():
        other.execute("SELECT FROM job_duty FOR UPDATE")
        dispatcher.dispatcher.turn()

    assert [Status.QUEUED] == statuses(job_id)
    assert not dispatcher.dispatcher._connection.closed


def test_a_lost_connection_is_made_anew(dispatcher):
    dispatcher.look()
    lost_connection = dispatcher.dispatcher._connection
    with own_connection("administrator") as other:
        other.execute("SELECT pg_terminate_backend(%s)", [lost_connection.info.backend_pid])
    job_id = overdue()
    dispatcher.dispatcher.turn()   # finds out
    dispatcher.dispatcher.turn()

    assert lost_connection.closed
    assert [Status.QUEUED] == statuses(job_id)


def test_whatever_goes_wrong_the_loop_goes_on(dispatcher, monkeypatch):
    job_id, move, wrong = overdue(), due.move, [ValueError("a bug"), OSError("no file descriptors")]

    def fail_twice(execute, **options):
        if wrong:
            raise wrong.pop()
        return move(execute, **options)

    monkeypatch.setattr(due, "move", fail_twice)
    with running(dispatcher.dispatcher.run):
        until(lambda: row(job_id).status == Status.QUEUED)

    assert [] == wrong


def test_it_does_not_do_everything_at_each_look(make_dispatcher):
    dispatcher = make_dispatcher()
    dispatcher.look()
    Duty.objects.all().delete()
    dispatcher.clock.now += 0.25
    dispatcher.dispatcher.run_once()

    assert [] == list(Duty.objects.all())
    dispatcher.clock.now += 0.75
    dispatcher.dispatcher.run_once()
    assert [presence.DISPATCH] == [each.name for each in Duty.objects.all()]


def test_rescue_is_never_more_than_half_a_second_away():
    from apps.jobs.scheduling.dispatcher import Config

    assert [0.1, 0.2, 0.5, 0.5] == [Config(lease_seconds=each).rescue_seconds for each in (0.5, 2, 5, 300)]


def test_strangers_that_no_worker_row_stands_for_are_rescued_too(dispatcher):
    job_id, holder = job(), worker()
    claim(holder)
    Worker.objects.filter(id=holder).delete()
    dispatcher.look()
    dispatcher.look()

    assert [Status.QUEUED] == statuses(job_id)
    assert uuid.UUID(str(holder)) not in set(Worker.objects.values_list("id", flat=True))
