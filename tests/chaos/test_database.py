"""A database that crashes and one that freezes."""

import pytest

from tests.chaos.faults import lasts, stop_postgres_at_once
from tests.chaos.harness import LEASE_SECONDS
from tests.chaos.run import WORKER_CLAIMS, Findings, Run

pytestmark = pytest.mark.chaos


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
