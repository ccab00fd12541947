"""Jobs that hold locks of three real nodes, and what becomes of them and of the others while there is no majority."""

import itertools
import uuid
from datetime import timedelta

import pytest
from django.db import connection

from apps.jobs import selectors
from apps.jobs import services as jobs
from apps.jobs.lifecycle import Status
from apps.jobs.models import Job
from tests.jobs.engine.conftest import ended, known
from tests.jobs.engine.test_endings import history
from tests.support import locked_notes
from tests.support.cassandra import tables
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(420)
MODULES = ("tests.support.scripted", "tests.support.locked")
AWAY = {"LockStoreUnavailable", "LockUnknown"}   # nobody answered, or nobody knows what became of the question


@pytest.fixture
def key():
    return uuid.uuid4().hex


@pytest.fixture
def start(db, workers, ring):
    with connection.cursor() as cursor:
        cursor.execute(locked_notes.TABLE)
        cursor.execute("TRUNCATE locked_run, locked_account")
    return lambda **options: workers.start(modules=MODULES, lease_seconds=5, LOCKS_URL=tables.address(ring), **options)


def place(worker, kind, **payload):
    known(worker.queue)
    return jobs.enqueue(f"locked.{kind}", payload, queue=worker.queue)


def test_jobs_of_one_lock_follow_each_other_under_rising_tokens_and_others_carry_the_workers(start, key):
    first = start(slots=4)
    start(slots=4, queues=[first.queue])
    ids = [place(first, "snooze", key=f"{key}-{number % 4}", seconds=0.02) for number in range(32)]
    rows = ended(*ids, timeout=120)
    until(lambda: ended(place(first, "free"))[0].result is not None, message="no claim carries its worker's token")

    assert {(Status.COMPLETED, 1, 0)} == {(row.status, row.attempt, row.failures) for row in rows}
    assert [[row.result] for row in rows] == [[each.lock_token for each in selectors.attempts(row.id)] for row in rows]
    for number in range(4):
        runs = locked_notes.runs(f"{key}-{number}")
        assert 8 == len(runs)
        for before, after in itertools.pairwise(runs):
            assert before.token < after.token
            assert before.ended <= after.began


def test_without_a_majority_jobs_without_a_lock_run_on_and_those_with_one_wait_uncharged(start, ring, key, desk):
    worker = start(slots=3)
    ended(place(worker, "snooze", key=f"{key}-before"), timeout=120)
    holder = place(worker, "snooze", key=f"{key}-held", desk=str(desk.folder))
    until(lambda: desk.began(holder), timeout=60)
    token = locked_notes.runs(f"{key}-held")[0].token

    for node in ring.nodes[1:]:
        node.stall()
    waits = place(worker, "snooze", key=key)
    free = ended(*[place(worker, "free") for _ in range(10)])
    first = until(lambda: Job.objects.filter(id=waits, status=Status.SCHEDULED, error__isnull=False).first(), timeout=60)
    until(lambda: "lock_lost" in history(holder), timeout=60, message="its lease could not be renewed, and it went on")
    late = ended(*[place(worker, "free") for _ in range(10)])
    again = until(
        lambda: Job.objects.filter(id=waits, status=Status.SCHEDULED, run_at__gt=first.run_at + timedelta(seconds=1)).first(),
        timeout=60, message="it was not tried again",
    )
    for node in ring.nodes[1:]:
        node.resume()
    desk.go()
    waited, held = ended(waits, holder, timeout=120)

    assert {(Status.COMPLETED, 1, 0)} == {(row.status, row.attempt, row.failures) for row in (*free, *late)}
    assert {first.error["class"], again.error["class"]} <= AWAY
    assert [(0, 0, 0)] * 2 == [(row.attempt, row.failures, row.rescues) for row in (first, again)]
    assert (Status.COMPLETED, 1, 0, ["completed"]) == (waited.status, waited.attempt, waited.failures, history(waits))
    assert (Status.COMPLETED, 2, 0, 0, ["lock_lost", "completed"]) == (
        held.status, held.attempt, held.failures, held.rescues, history(holder),
    )
    assert held.result > token
    assert worker.events("locks.away")
