"""Two workers, fifty locks, and one worker killed in the middle: nobody ever runs beside another of its key.

The ordinary run is small. The whole one tells its figures, beside the same jobs without locks:

    LOCKED_JOBS=2000 pytest -s tests/jobs/engine/test_locked_fleet.py
"""

import itertools
import os
import time
from collections import Counter

import pytest
from django.db import connection

from apps.jobs import services as jobs
from apps.jobs.lifecycle import FINISHED, Status
from apps.jobs.models import Job, JobAttempt
from core import clock
from tests.jobs.engine.conftest import known
from tests.support import locked_notes
from tests.support.waiting import until

COUNT = int(os.environ.get("LOCKED_JOBS", "300"))
KEYS = 50
SLOTS = 4
MODULES = ("tests.support.locked",)


@pytest.fixture
def pair(db, workers):
    """Two workers of one queue."""
    with connection.cursor() as cursor:
        cursor.execute(locked_notes.TABLE)
        cursor.execute("TRUNCATE locked_run, locked_account")
    first = workers.start(slots=SLOTS, lease_seconds=3, modules=MODULES)
    known(first.queue)
    return first, workers.start(slots=SLOTS, lease_seconds=3, modules=MODULES, queues=[first.queue])


def enqueue(worker, kind, key):
    payloads = [{"key": key.format(k=number % KEYS, n=number)} for number in range(COUNT)]
    return jobs.enqueue_many(f"locked.{kind}", payloads, queue=worker.queue)


def done(ids):
    return Job.objects.filter(id__in=ids, status__in=FINISHED).count()


def seconds_of(ids, *, meanwhile=lambda: None):
    since = time.monotonic()
    meanwhile()
    until(lambda: done(ids) == len(ids), timeout=120 + COUNT / 5, message="the jobs did not end")
    return time.monotonic() - since


def test_jobs_of_one_lock_never_run_together_when_a_worker_is_killed_and_none_is_charged_for_waiting(pair):
    victim, heir = pair
    killed = []

    def kill():
        until(lambda: done(ids) >= COUNT // 3, timeout=120)
        victim.kill()
        killed.append(clock.now())

    ids = enqueue(victim, "snooze", f"{os.getpid()}-{{k}}")
    seconds = seconds_of(ids, meanwhile=kill)

    rows = Job.objects.filter(id__in=ids)
    assert Counter({Status.COMPLETED: COUNT}) == Counter(row.status for row in rows)
    assert {0} == {row.failures for row in rows}
    assert [] == [row.id for row in rows if row.attempt != 1 + row.rescues]   # waiting is no attempt
    assert {"worker_lost"} >= set(JobAttempt.objects.filter(job_id__in=ids).values_list("outcome", flat=True))
    by_key = {}
    for run in locked_notes.runs():
        by_key.setdefault(run.key, []).append(run)
    assert KEYS == len(by_key)
    for runs in by_key.values():
        for before, after in itertools.pairwise(runs):
            assert before.token < after.token
            assert (before.ended or killed[0]) <= after.began
    print(f"\n{COUNT} jobs of {KEYS} locks, one of two workers killed: {seconds:.1f} s; {heir.name} did the rest")  # noqa: T201  the figures are asked for


@pytest.mark.skipif(COUNT < 2000, reason="figures of the whole size only")
def test_the_figures_of_locked_jobs_beside_the_same_without_locks(pair):
    worker, _ = pair
    told = {}
    for kind, key in (("free", "free-{n}"), ("snooze", f"{os.getpid()}-again-{{k}}"), ("free", "free-again-{n}")):
        told.setdefault(kind, []).append(COUNT / seconds_of(enqueue(worker, kind, key)))

    print(f"\njobs a second of {COUNT}: {told}")  # noqa: T201  as above
    assert {"free", "snooze"} == set(told)
