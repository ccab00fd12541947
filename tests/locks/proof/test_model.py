"""Our state machine, explored whole in small scenarios; and each of its rules, shown to be needed by leaving it out."""

import functools

import pytest

from locks.row import Row, State
from tests.locks.proof.model import explore
from tests.locks.proof.world import Design, Scenario

USED = Row(state=State.FREE, fence=2, hb=0, nonce=0, owner="o", lease_ms=1, since_ms=0)
CONTENDED = Scenario(largest=3, renewals=0)                                   # two clients, and every fate of their copies
RENEWED = Scenario(largest=2, renewals=1)
PURGED = Scenario(roles=("lock", "purge"), renewals=0, largest=5, row=USED)
ABSENT = Scenario(roles=("lock", "purge"), renewals=0, largest=5, row=None)
FORCED = Scenario(roles=("lock", "lock", "force"), largest=2, guesses=(1,))   # the operator's question may be repeated
STRANGE = Scenario(roles=("lock", "purge"), renewals=0, largest=5, row=USED, strangers=True)    # it makes what is there, or was
STRANGERS = Scenario(largest=2, renewals=0, row=None, guesses=(1,), strangers=True)
AGAIN = Scenario(operations=2, renewals=0, largest=3, repeats=0, guesses=(1,))


explored = functools.cache(explore)    # what two tests ask about is explored once


@pytest.mark.parametrize("scenario", ["CONTENDED", "RENEWED", "PURGED", "ABSENT", "FORCED", "AGAIN", "STRANGE", "STRANGERS"])
def test_no_order_of_events_breaks_our_rules(scenario):
    found = explored(globals()[scenario], Design())

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
    (STRANGE, {"floor_before_burial": False}, "a token did not rise"),
    (STRANGE, {"floor_after_row": False}, "a token did not rise"),
    (FORCED, {"force_names_token": False}, "an innocent holder was hit"),
])
def test_each_rule_is_needed(scenario, without, fault):
    assert {fault} == explore(scenario, Design(**without), to_first_fault=True).faults


@pytest.mark.parametrize("without", [{}, {"exact_only": True}])
def test_nobody_is_told_not_held_and_is_the_holder(without):
    assert 0 == explored(CONTENDED, Design(**without)).ghosts


@pytest.mark.parametrize(("without", "more_than"), [
    ({"late_copies_reckoned_with": False}, 0),           # a cold copy that comes late makes few
    ({"late_copies_reckoned_with": False, "unknown_read_and_forgotten": True}, 100),
])
def test_each_way_to_forget_makes_ghosts(without, more_than):
    """A ghost lets no token fall, but a lock is held by a caller who was told that it has it not, and a lease is wasted."""
    assert more_than < explored(CONTENDED, Design(**without)).ghosts
