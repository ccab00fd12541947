"""Five minutes of faults, and nothing that may not be. LOCKS_CHAOS_SECONDS makes them longer, and `make chaos-locks` with a report."""

import os

import pytest

from tests.locks.chaos.mix import Mix, Plan

SECONDS = float(os.environ.get("LOCKS_CHAOS_SECONDS", "150"))   # on each kind of Paxos
pytestmark = [pytest.mark.chaos, pytest.mark.timeout(SECONDS + 420)]
SLACK = 3      # other processes run on this machine too


@pytest.mark.parametrize("paxos", ["v2", "v1"])
def test_no_fault_makes_the_locks_break_a_rule(paxos_rings, tmp_path, paxos):
    outcome = Mix(paxos_rings(paxos), tmp_path, Plan(seconds=SECONDS)).run()

    assert [] == outcome.violations
    assert (True, True) == (len(outcome.verdict.grants) > SECONDS / 4, len(outcome.faults) > 3)
    longest = max((wait.well_seconds for wait in outcome.waits), default=0.0)
    assert longest < (outcome.plan.lease_seconds + 5) * SLACK


def test_without_the_guard_of_the_token_a_mix_finds_that_it_falls(shared_ring, tmp_path):
    outcome = Mix(shared_ring, tmp_path, Plan(seconds=25, design="unguarded", only=("stop_holder", "shift_clock"))).run()

    assert "a token did not rise" in outcome.verdict.rules
