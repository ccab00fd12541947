"""How many jobs wait for a lock: those in line, and the head as long as it does not run."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.jobs import selectors
from apps.jobs.lifecycle import AttemptOutcome
from core.locking import waiting
from tests.support.factories import CANCELLED, claim, claims, end, job, jobs, row, settled, worker

pytestmark = pytest.mark.django_db
KEY = "payment:7"


def test_jobs_wait_until_they_run():
    jobs(3, lock_key=KEY)
    job(lock_key="payment:8")
    job()
    before = selectors.waiters([KEY, "payment:8", "payment:9"])
    me = worker()
    held = claims(me)

    assert {KEY: 3, "payment:8": 1} == before
    assert {KEY: 2} == selectors.waiters([KEY, "payment:8"])
    assert 3 == len(held)


def test_the_platform_is_told():
    jobs(2, lock_key=KEY)

    assert {KEY: 2, "payment:9": 0} == waiting.waiters([KEY, "payment:9"])


def test_nobody_looks_through_all_jobs_for_it():
    jobs(3, lock_key=KEY)
    jobs(300)
    for number in range(40):
        jobs(3, lock_key=f"other:{number}")
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("ANALYZE job")   # else what other tests have left behind decides between indexes
    with CaptureQueriesContext(connection) as asked:
        selectors.waiters([KEY])
    plans = []
    for query in asked.captured_queries:
        with connection.cursor() as cursor:
            cursor.execute("EXPLAIN " + query["sql"])
            plans.append("\n".join(line for (line,) in cursor.fetchall()))

    assert ["job_lock_line", "job_lock_head"] == [
        next(name for name in ("job_lock_line", "job_lock_head", "Seq Scan") if name in plan) for plan in plans
    ]


def test_who_stands_in_line_is_told_whose_turn_it_is():
    first, second = jobs(2, lock_key=KEY)
    before = selectors.why_waiting(row(second))
    claim(worker())

    assert f"job {first}, which is queued, has its turn under the lock {KEY!r}" == before
    assert f"job {first}, which is running, has its turn under the lock {KEY!r}" == selectors.why_waiting(row(second))


def test_a_job_that_was_put_off_says_why_and_one_that_wished_to_be_says_nothing():
    me = worker()
    put_off, other = job(lock_key=KEY), job(lock_key="payment:8")
    for held in claims(me):
        outcome = AttemptOutcome.LOCK_BUSY if held.id == str(put_off) else AttemptOutcome.SNOOZED
        settled(me, end(held, outcome, delay_seconds=60.0, error=CANCELLED))

    assert "its lock could not be had: by a test" == selectors.why_waiting(row(put_off))
    assert "" == selectors.why_waiting(row(other))
