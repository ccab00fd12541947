"""Jobs that hold a lock: one at a time under a growing token, never charged for waiting, ended when the lock is lost."""

import itertools
import json
import os
import signal
import urllib.request
from datetime import timedelta

import psutil
import pytest
from django.db import connection

from apps.jobs import selectors
from apps.jobs import services as jobs
from apps.jobs.conf import Config
from apps.jobs.engine.bookkeeper import Bookkeeper
from apps.jobs.engine.keyring import is_needed
from apps.jobs.lifecycle import Status
from apps.jobs.models import Job, StaleWrite
from core.locking.opening import open_locks
from locks import State
from tests.jobs.engine.conftest import ended, in_status, known
from tests.jobs.engine.test_endings import history
from tests.support import factories, locked_notes
from tests.support.waiting import until

MODULES = ("tests.support.scripted", "tests.support.locked")
AWAY = "postgresql://nobody@127.0.0.1:9/none"   # nothing listens there
LEASE = timedelta(seconds=locked_notes.LEASE_SECONDS)


@pytest.fixture
def _notes(db):
    with connection.cursor() as cursor:
        cursor.execute(locked_notes.TABLE)
        cursor.execute("TRUNCATE locked_run, locked_account")


@pytest.fixture
def start(_notes, workers):
    """Return what starts a worker that knows the types with locks."""
    return lambda **options: workers.start(**{"modules": MODULES, "lease_seconds": 3, **options})


@pytest.fixture
def locks():
    """Somebody else who uses the same locks."""
    made = open_locks(owner="somebody else")
    yield made
    made.close()


@pytest.fixture
def key(request):
    """A key that no other test uses: rows of locks stay."""
    return f"{os.getpid()}-{request.node.name}"


def place(worker, kind, **payload):
    known(worker.queue)
    return jobs.enqueue(f"locked.{kind}", payload, queue=worker.queue)


def tokens(job_id):
    return [each.lock_token for each in selectors.attempts(job_id)]


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_a_handler_runs_under_the_token_of_its_lock_which_stands_on_its_attempt_and_in_its_logs(start, locks, key, pool):
    worker = start(pool=pool)
    first, second = (place(worker, "snooze", key=key) for _ in range(2))
    one, two = ended(first, second)

    assert 0 < one.result < two.result
    assert [[one.result], [two.result]] == [tokens(first), tokens(second)]
    assert [[1, 0]] * 2 == [[row.attempt, row.failures] for row in (one, two)]
    (said,) = worker.events("locked.said", job_id=str(first))
    assert (one.result, pool == "prefork") == (said["lock_token"], said["silent"])   # whose counts nobody reads
    until(lambda: locks.inspect(f"k:{key}").state == State.FREE, message="the lock was not given back")


def test_the_token_stands_on_the_row_before_the_handler_begins(start, key, desk):
    worker = start()
    job_id = place(worker, "snooze", key=key, desk=str(desk.folder))
    until(lambda: desk.began(job_id), timeout=30)

    assert [locked_notes.runs(key)[0].token] == tokens(job_id)
    desk.go()
    ended(job_id)


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_jobs_of_one_key_never_run_together_and_those_of_others_do(start, key, pool):
    first = start(pool=pool, slots=4)
    start(pool=pool, slots=4, queues=[first.queue])
    ids = [place(first, "snooze", key=f"{key}-{number % 3}", seconds=0.02) for number in range(30)]
    rows = ended(*ids)

    assert {(Status.COMPLETED, 1, 0)} == {(row.status, row.attempt, row.failures) for row in rows}
    for number in range(3):
        runs = locked_notes.runs(f"{key}-{number}")
        assert 10 == len(runs)
        assert sorted(run.token for run in runs) == [run.token for run in runs]
        assert all(before.ended <= after.began for before, after in itertools.pairwise(runs))


def test_without_a_lock_two_of_them_do(start, desk):
    worker = start(slots=2)
    ids = [place(worker, "free", desk=str(desk.folder)) for _ in range(2)]
    until(lambda: all(desk.began(job_id) for job_id in ids), timeout=30)
    desk.go()
    ended(*ids)

    first, second = locked_notes.runs()
    assert second.began < first.ended


def test_a_job_whose_lock_is_busy_elsewhere_is_put_off_uncharged_and_says_who_has_it(start, locks, key):
    worker = start()
    lease = locks.acquire(f"k:{key}")
    job_id = place(worker, "snooze", key=key)
    behind = place(worker, "snooze", key=key)
    row = until(lambda: Job.objects.filter(id=job_id, status=Status.SCHEDULED).first(), timeout=30)
    waits = factories.row(behind)

    assert (0, 0, "LockHeld") == (row.attempt, row.failures, row.error["class"])
    assert "somebody else has it" in row.error["message"]
    assert (Status.QUEUED, True) == (waits.status, waits.behind)
    assert f"'k:{key}'" in selectors.why_waiting(waits)
    lease.release()
    rows = ended(job_id, behind)
    assert [(1, 0, 0, None)] * 2 == [(row.attempt, row.failures, row.rescues, row.error) for row in rows]
    assert [["completed"]] * 2 == [history(each) for each in (job_id, behind)]


def test_a_job_that_is_to_be_put_away_when_its_lock_is_busy_becomes_a_dead_letter(start, locks, key):
    worker = start()
    with locks.acquire(f"k:{key}"):
        (row,) = ended(place(worker, "discard", key=key))

    assert (Status.DEAD_LETTER, 0, "LockHeld") == (row.status, row.failures, row.error["class"])


def test_a_job_that_waits_for_its_lock_costs_no_slot_and_no_attempt(start, locks, key):
    worker = start(slots=1)
    lease = locks.acquire(f"k:{key}")
    job_id = place(worker, "wait", key=key)
    in_status(job_id, Status.RUNNING)
    (other,) = ended(place(worker, "free"))
    waits = factories.row(job_id)
    lease.release()
    (row,) = ended(job_id)

    assert Status.COMPLETED == other.status
    assert Status.RUNNING == waits.status
    assert (1, 0, ["completed"]) == (row.attempt, row.failures, history(job_id))
    assert row.result > lease.token


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_a_forced_lock_ends_its_attempt_and_the_next_one_has_a_greater_token(start, locks, key, desk, pool):
    worker = start(pool=pool)
    job_id = place(worker, "snooze", key=key, desk=str(desk.folder), checking=pool == "threads")
    pid = until(lambda: desk.began(job_id), timeout=30)
    token = locks.inspect(f"k:{key}").fence
    locks.force_release(f"k:{key}", token, reason="a test", by="operator")
    until(lambda: desk.began(job_id, attempt=2), timeout=60, message="it was not begun anew")
    desk.go()
    (row,) = ended(job_id)

    assert (Status.COMPLETED, 2, 0, 0) == (row.status, row.attempt, row.failures, row.rescues)
    assert ["lock_lost", "completed"] == history(job_id)
    first, second = tokens(job_id)
    assert token == first < second
    if pool == "prefork":
        assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    assert [] == list(StaleWrite.objects.filter(job_id=job_id))   # what it would have settled was dropped already


def test_the_transaction_of_an_attempt_whose_lock_was_lost_is_refused(start, locks, key, desk, monkeypatch):
    """A thread cannot be ended: it goes on, and the row refuses it."""
    worker = start(pool="threads")
    job_id = place(worker, "snooze", key=key, desk=str(desk.folder))
    until(lambda: desk.began(job_id), timeout=30)
    fence = factories.row(job_id).fence
    locks.force_release(f"k:{key}", locks.inspect(f"k:{key}").fence, reason="a test", by="operator")
    until(lambda: "lock_lost" in history(job_id), timeout=30)

    from apps.jobs.transitions import settle
    from apps.jobs.transitions.statement import on_django

    assert settle.hold(on_django(), job_id=job_id, fence=fence) is False
    desk.go()
    ended(job_id)


def test_without_a_lock_store_jobs_with_a_lock_are_put_off_longer_each_time_and_others_run_on(start, key):
    worker = start(LOCKS_URL=AWAY, JOBS_METRICS_PORT="9350")
    job_id = place(worker, "snooze", key=key)
    row = until(lambda: Job.objects.filter(id=job_id, status=Status.SCHEDULED).first(), timeout=60)
    (free,) = ended(place(worker, "free"))
    until(lambda: _refused(worker) >= 3, timeout=60, message="it was not tried again")
    later = until(lambda: Job.objects.filter(id=job_id, status=Status.SCHEDULED).first(), timeout=60)

    assert Status.COMPLETED == free.status
    assert (0, 0, "LockStoreUnavailable") == (later.attempt, later.failures, row.error["class"])
    assert free.lock_token is None
    assert later.run_at - row.run_at > timedelta(seconds=1)
    assert 1 == len(worker.events("locks.away"))


def _refused(worker):
    address = f"http://127.0.0.1:{worker.row()['metrics_port']}/metrics"
    with urllib.request.urlopen(address) as answer:
        text = answer.read().decode()
    found = [line for line in text.splitlines() if line.startswith('latchwork_worker_locks_refused_total{why="away"}')]
    return float(found[0].split()[-1]) if found else 0


@pytest.mark.parametrize("busy", ["snooze", "discard"])   # no job is put away for the lock that its own first attempt holds
def test_what_a_killed_worker_held_is_run_under_a_greater_token_once_its_lease_is_over(busy, start, key, desk):
    victim = start(slots=1)
    job_id = place(victim, busy, key=key, desk=str(desk.folder))
    until(lambda: desk.began(job_id), timeout=30)
    start(slots=1, queues=[victim.queue])
    victim.kill()
    desk.go()
    (row,) = ended(job_id)

    assert (Status.COMPLETED, 2, 0, 1) == (row.status, row.attempt, row.failures, row.rescues)
    first, second = tokens(job_id)
    assert first < second
    assert ["worker_lost", "completed"] == history(job_id)


def test_in_threads_nobody_else_gets_the_lock_of_a_handler_that_runs_on_after_its_timeout(start, locks, key, desk):
    worker = start(pool="threads", slots=2)
    known(worker.queue)
    first = jobs.enqueue(
        "locked.snooze", {"key": key, "desk": str(desk.folder)}, queue=worker.queue, timeout=timedelta(seconds=1), max_attempts=1,
    )
    until(lambda: desk.began(first), timeout=30)
    in_status(first, Status.DEAD_LETTER)
    second = place(worker, "snooze", key=key)
    until(lambda: (factories.row(second).error or {}).get("class") == "LockHeld", timeout=30)
    held = locks.inspect(f"k:{key}")
    desk.go()
    (row,) = ended(second)

    assert State.HELD == held.state
    one, two = locked_notes.runs(key)
    assert one.ended <= two.began
    assert (Status.COMPLETED, 1) == (row.status, row.attempt)
    assert row.result > held.fence


def test_a_job_that_was_stored_before_its_type_had_a_lock_runs_under_it(start, locks, key):
    worker = start()
    lease = locks.acquire(f"k:{key}")
    job_id = place(worker, "snooze", key=key)
    until(lambda: factories.row(job_id).status == Status.SCHEDULED, timeout=30)
    Job.objects.filter(id=job_id).update(lock_key=None)
    lease.release()
    (row,) = ended(job_id)

    assert row.result > lease.token


def test_a_worker_that_stops_gives_its_locks_back_and_passes_the_place_on(start, locks, key, desk):
    worker = start(slots=1)
    first = place(worker, "snooze", key=key, desk=str(desk.folder))
    second = place(worker, "snooze", key=key)
    until(lambda: desk.began(first), timeout=30)
    desk.go()
    worker.stop(signal.SIGTERM)

    assert State.FREE == locks.inspect(f"k:{key}").state
    if factories.row(second).status != Status.COMPLETED:
        assert (Status.QUEUED, False) == (factories.row(second).status, factories.row(second).behind)


def test_a_guarded_job_holds_the_lock_of_its_own_id(start, locks, desk):
    worker = start()
    job_id = place(worker, "guarded", desk=str(desk.folder))
    until(lambda: desk.began(job_id), timeout=30)
    row = locks.inspect(f"job:{job_id}")
    desk.go()
    (done,) = ended(job_id)

    assert (State.HELD, row.fence) == (row.state, done.result)


def test_with_a_guard_of_jobs_every_job_holds_the_lock_of_its_id(start, locks):
    worker = start(JOBS_GUARD="job")
    (done,) = ended(place(worker, "free"))

    assert done.result == locks.inspect(f"job:{done.id}").fence


def test_with_a_guard_of_workers_each_claim_carries_the_token_of_its_worker(start, locks):
    worker = start(JOBS_GUARD="worker")
    own = until(lambda: locks.inspect(f"worker:{worker.id()}"), timeout=30)
    until(lambda: locks.inspect(f"worker:{worker.id()}").state == State.HELD, timeout=30)
    until(lambda: ended(place(worker, "free"))[0].result is not None, message="no claim carries the worker's token")
    rows = ended(*[place(worker, "free") for _ in range(5)])

    assert {locks.inspect(f"worker:{worker.id()}").fence} == {row.result for row in rows}
    assert own is not None
    assert [[row.result] for row in rows] == [tokens(row.id) for row in rows]


def test_a_worker_whose_types_have_no_lock_has_no_keyring():
    assert is_needed("none") is False
    assert Bookkeeper(Config()).keys is None
    assert Bookkeeper(Config(guard="worker")).keys is not None


def test_an_error_of_a_put_off_job_is_gone_once_it_has_completed(start, locks, key):
    worker = start()
    lease = locks.acquire(f"k:{key}", lease=LEASE)
    job_id = place(worker, "snooze", key=key)
    until(lambda: factories.row(job_id).error, timeout=30)
    lease.release()
    (row,) = ended(job_id)

    assert row.error is None
    assert json.dumps(row.result) == str(tokens(job_id)[0])
