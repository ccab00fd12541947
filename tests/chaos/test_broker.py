"""A broker that loses, doubles, forgets, goes and falls silent: delay at most."""

import pytest

from tests.chaos.conftest import size
from tests.chaos.faults import between, lasts
from tests.chaos.run import Findings, Run

pytestmark = pytest.mark.chaos
AWAY_SECONDS = size("CHAOS_AWAY_SECONDS", 4)   # 10 in a full run


def test_every_message_delivered_twice_starts_nothing_twice(stack):
    stack.ready()
    with between(stack, lambda number: 2) as delivered:
        run = Run(stack, jobs=0)
        with run.fault():
            run.adds(stack.jobs, one_by_one=True)
            run.ends()
    run.says(f"{len(delivered)} messages delivered twice")

    assert len(delivered) > 10
    assert Findings() == run.findings(), stack.logs()
    assert (0, 0) == (run.charged(), run.doubles())


def test_losing_every_second_message_loses_no_job(stack):
    stack.ready()
    with between(stack, lambda number: number % 2) as delivered:
        run = Run(stack, jobs=0)
        with run.fault():
            run.adds(stack.jobs, one_by_one=True)
            run.ends()
    run.says(f"{delivered.count(0)} of {len(delivered)} messages lost")

    assert delivered.count(0) > 5
    assert Findings() == run.findings(), stack.logs()
    assert 0 == run.charged()


def test_flushing_the_broker_costs_no_job(stack):
    stack.ready()
    run = Run(stack)
    run.reaches(0.4)
    with run.fault(), stack.valkey.client() as client:
        client.flushall()
    run.ends()
    run.says("FLUSHALL at 40 %")

    assert Findings() == run.findings(), stack.logs()
    assert 0 == run.charged()


def test_a_broker_that_is_gone_for_a_while_charges_nobody(stack):
    stack.ready()
    run = Run(stack)
    run.reaches(0.4)
    with run.fault():
        stack.valkey.kill()
        lasts(AWAY_SECONDS)
        stack.valkey.start()
    run.ends()
    run.says(f"broker gone for {AWAY_SECONDS} s")

    assert Findings() == run.findings(), stack.logs()
    assert 0 == run.charged()


def test_a_broker_that_accepts_and_never_answers_charges_nobody(stack):
    stack.ready()
    run = Run(stack)
    run.reaches(0.4)
    with run.fault():
        stack.valkey.stall()
        lasts(AWAY_SECONDS)
        stack.valkey.resume()
    run.ends()
    run.says(f"broker silent for {AWAY_SECONDS} s")

    assert Findings() == run.findings(), stack.logs()
    assert 0 == run.charged()
