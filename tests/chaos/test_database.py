"""A database that crashes and one that freezes."""

import pytest

from tests.chaos.faults import lasts, stop_postgres_at_once
from tests.chaos.harness import LEASE_SECONDS
from tests.chaos.run import WORKER_CLAIMS, Findings, Run

pytestmark = pytest.mark.chaos
CRASHES = 4


def test_a_crash_of_the_database_loses_nothing_that_was_committed(stack):
    stack.ready()
    run = Run(stack)
    run.reaches(0.4)
    with run.fault():
        stop_postgres_at_once(stack)
        lasts(0.5)
        stack.postgres.start()
    run.ends()
    run.says("PostgreSQL stopped at once and restarted")

    assert Findings() == run.findings(), stack.logs()
    assert run.charged() <= 2 * WORKER_CLAIMS


def test_a_crash_of_the_database_takes_nothing_that_enqueue_has_returned(stack):
    """Workers see each of these jobs, and are rung for it, while it is on its way to the disk."""
    stack.ready()
    run = Run(stack, jobs=0)
    with run.fault(), stack.application.enqueueing_until_it_fails("chaos.work") as run.plain:
        stack.until(lambda: run.finished() >= 50, otherwise="too few were enqueued")
        stop_postgres_at_once(stack)
    stack.postgres.start()
    run.size = stack.count("true")   # the last one may be stored, though nobody was told
    run.ends()
    run.says("PostgreSQL stopped at once while jobs came in")

    assert len(run.plain) >= 50
    assert set(run.plain) <= set(ids(stack))
    assert Findings() == run.findings(), stack.logs()
    assert {event.job_id for event in run.events("start")} <= set(ids(stack))


def test_it_is_the_flush_that_keeps_them(stack):
    """With nobody there whose own commits would take them to the disk. Without the flush the last ones are gone."""
    def lost(*, flushes):
        stack.ready(workers=0, beat=False)
        with stack.application.enqueueing_until_it_fails("chaos.work", flushes=flushes) as told:
            stack.until(lambda: stack.count("true") >= 20, otherwise="too few were enqueued")
            stop_postgres_at_once(stack)
        stack.postgres.start()
        return set(told) - set(ids(stack))

    assert [set()] * CRASHES == [lost(flushes=True) for _ in range(CRASHES)]
    assert stack.until(lambda: lost(flushes=False), otherwise="all were on the disk each time")


def ids(stack):
    return [job_id for job_id, in stack.query("SELECT id::text FROM job")]


def test_a_database_that_is_frozen_longer_than_the_lease_charges_nobody(stack):
    stack.ready()
    run = Run(stack)
    run.reaches(0.4)
    with run.fault():
        stack.postgres.stall()
        lasts(LEASE_SECONDS + 3)
        stack.postgres.resume()
    run.ends()
    run.says(f"PostgreSQL frozen for {LEASE_SECONDS + 3} s")

    assert Findings() == run.findings(), stack.logs()
    assert 0 == run.charged(), stack.logs()
