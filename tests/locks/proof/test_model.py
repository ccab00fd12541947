"""Our state machine, explored whole in small scenarios; and each of its rules, shown to be needed by leaving it out."""

import pytest

from locks.row import Row, State
from tests.locks.proof.model import Design, Scenario, explore

USED = Row(state=State.FREE, fence=2, hb=0, nonce=0, owner="o", lease_ms=1, since_ms=0)
CONTENDED = Scenario(largest=3, renewals=0)                                   # two clients, and every fate of their copies
RENEWED = Scenario(largest=2, renewals=1)
PURGED = Scenario(roles=("lock", "purge"), renewals=0, largest=5, row=USED)
ABSENT = Scenario(roles=("lock", "purge"), renewals=0, largest=5, row=None)
FORCED = Scenario(roles=("lock", "lock", "force"), largest=2, guesses=(1,))   # the operator's question may be repeated
AGAIN = Scenario(operations=2, renewals=0, largest=3, repeats=0, guesses=(1,))


@pytest.mark.parametrize("scenario", ["CONTENDED", "RENEWED", "PURGED", "ABSENT", "FORCED", "AGAIN"])
def test_no_order_of_events_breaks_our_rules(scenario):
    found = explore(globals()[scenario])

    assert set() == found.faults
    assert found.states > 1_000
    assert found.grants > 0


@pytest.mark.parametrize(("scenario", "without", "fault"), [
    (CONTENDED, {"token_guard": False}, "a token did not rise"),
    (CONTENDED, {"wait_for_expiry": False}, "two holders"),
    (CONTENDED, {"late_answers_renewed": False}, "two holders"),
    (RENEWED, {"unknown_renewal_trusted": True}, "two holders"),
    (PURGED, {"floor_before_burial": False}, "a token did not rise"),
    (PURGED, {"floor_after_row": False}, "a token did not rise"),
    (FORCED, {"force_names_token": False}, "an innocent holder was hit"),
])
def test_each_rule_is_needed(scenario, without, fault):
    assert {fault} == explore(scenario, Design(**without), to_first_fault=True).faults


def test_exact_versions_leave_no_ghost_and_the_cold_form_few_that_read_and_forget_makes_many():
    """A ghost holds a lock although its caller was told that it does not: no token falls by that, but a lease is wasted."""
    exact, ours, forgetful = (
        explore(CONTENDED, Design(**without)) for without in ({"exact_only": True}, {}, {"unknown_read_and_forgotten": True})
    )

    assert exact.ghosts == 0 < ours.ghosts
    assert 10 * ours.ghosts / ours.states < forgetful.ghosts / forgetful.states
