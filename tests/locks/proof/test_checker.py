"""The checker finds what is planted, agrees with a search through all orders, and leaves sound histories alone."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from locks.testing.checker import Grant, check, is_fenced_mutex, waits


def grant(at, token, *, nonce=None, pid=1, deadline=None, name="a", took=0.1):
    op = f"{pid}-{at}-{token}"
    return [
        {"at": at, "event": "acquire.call", "op": op, "name": name, "pid": pid},
        {
            "at": at + took, "event": "acquire.return", "op": op, "name": name, "pid": pid, "outcome": "held", "token": token,
            "nonce": nonce or f"n{at}", "deadline": deadline or at + 6,
        },
    ]


def refused(at, outcome, nonce, holder=None, token=None):
    return [
        {"at": at, "event": "acquire.call", "op": nonce, "name": "a", "pid": 9},
        {
            "at": at + 0.1, "event": "acquire.return", "op": nonce, "name": "a", "pid": 9, "outcome": outcome, "nonce": nonce,
            "holder": holder, "holder_token": token,
        },
    ]


def event(at, kind, **facts):
    return {"at": at, "event": kind, "name": "a", "pid": 1, **facts}


SOUND = {
    "one after the other": [*grant(1, 1), event(2, "release.call", token=1), *grant(3, 2)],
    "after a kill": [*grant(1, 1), event(2, "killed", victim=1), *grant(3, 2, pid=2)],
    "a takeover after the deadline": [*grant(1, 1), *grant(7.5, 2)],
    "a forced end": [*grant(1, 1), event(2, "force.call", token=1), *grant(3, 2)],
    "two locks at a time": [*grant(1, 1), *grant(2, 1, name="b")],
    "an unknown that is seen for a while": [*refused(1, "unknown", "g"), *refused(3, "busy", "h", holder="g")],
    "a grant that an operator ended before its caller heard of it": [
        *refused(1, "busy", "h", holder="g", token=1), event(2, "forced", token=1, how="freed"), *refused(3, "busy", "g", holder="x"),
    ],
    "a loss that is reported in time": [*grant(1, 1), event(7.5, "lost", token=1)],
    "a loss that is reported late by a process that was stopped": [
        *grant(1, 1), event(5, "stopped", victim=1), event(20, "continued", victim=1), event(20.2, "lost", token=1),
    ],
}
PLANTED = {
    "two holders at a time": [*grant(1, 1), *grant(3, 2)],
    "two holders at a time, after a renewal": [*grant(1, 1), event(4, "renewed", token=1, deadline=12), *grant(8, 2)],
    "two holders at a time, by a process that was not the one killed": [*grant(1, 1), event(2, "killed", victim=7), *grant(3, 2)],
    "one token, two grants": [*grant(1, 1), event(2, "release.call", token=1), *grant(3, 1)],
    "a token did not rise": [*grant(1, 5), event(2, "release.call", token=5), *grant(3, 4)],
    "one call, two tokens": [*grant(1, 1, nonce="n"), event(2, "release.call", token=1), *grant(3, 2, nonce="n")],
    "told not held, and was the holder": [*refused(1, "busy", "g", holder="x"), *refused(3, "busy", "h", holder="g")],
    "told not held, and was the holder, whom an operator ended only then": [
        *refused(1, "busy", "g", holder="x"), *refused(3, "busy", "h", holder="g", token=1), event(4, "forced", token=1, how="freed"),
    ],
    "told not held, and was the holder, while an operator ended another grant": [
        *refused(1, "busy", "h", holder="g", token=2), event(2, "forced", token=1, how="freed"), *refused(3, "busy", "g", holder="x"),
    ],
    "told not held, and was the holder, by a takeover": [
        *refused(1, "unavailable", "g"), event(9, "granted", token=2, victim="g"),
    ],
    "an unknown acquire lasted": [*refused(1, "unknown", "g"), *refused(15, "busy", "h", holder="g")],
    "a loss was reported late": [*grant(1, 1), event(10, "lost", token=1)],
    "not a fenced mutex": [    # alone, but in the wrong order: the later token was last trusted before the earlier one was asked
        *grant(5, 1, took=5, deadline=9), *grant(4, 2, took=2.5, deadline=6.5),
    ],
    "a row fell below a granted token": grant(1, 1) + grant(8, 9),
    "a forced release without an audit entry": [event(1, "forced", token=7, how="freed")],
}


def found(events):
    ordered = sorted(events, key=lambda each: each["at"])
    return check(ordered, lease_seconds=6, rows={"a": 8}, recorded=[("a", 1)]).rules


@pytest.mark.parametrize("history", SOUND)
def test_a_sound_history_is_left_alone(history):
    assert set() == found(SOUND[history])


@pytest.mark.parametrize("planted", PLANTED)
def test_what_is_planted_is_found(planted):
    assert [] != [rule for rule in found(PLANTED[planted]) if planted.startswith(rule)]


def possible(grants):
    """Search all orders, and for each the earliest instants: what the checker knows without searching."""
    for order in itertools.permutations(grants):
        if any(first.token >= second.token for first, second in itertools.pairwise(order)):
            continue
        instant, fits = -math.inf, True
        for each in order:
            instant = max(instant, each.called)
            fits = fits and instant <= each.returned
            instant = max(instant, each.trusted_until)
        if fits:
            return True
    return not grants


moments = st.integers(0, 12)


@st.composite
def histories(draw):
    grants = []
    for token in draw(st.permutations(range(1, draw(st.integers(0, 5)) + 1))):
        called = draw(moments)
        returned = called + draw(st.integers(0, 4))
        grants.append(Grant("a", token, f"n{token}", 1, called, returned, returned + draw(st.integers(0, 4))))
    return grants


@given(histories())
def test_the_linear_walk_agrees_with_a_search_through_all_orders(grants):
    assert possible(grants) == is_fenced_mutex(grants)


def test_waits_leave_out_the_time_of_other_faults():
    events = [
        *grant(1, 1), event(2, "fault", fault="pause"), event(4, "heal", fault="pause"), event(5, "fault", fault="kill"),
        event(8, "heal", fault="kill"), *grant(9, 2),
    ]

    longest = waits(events)[0]

    assert ("pause", 5.1, 2.1) == (longest.fault, round(longest.seconds, 3), round(longest.well_seconds, 3))
