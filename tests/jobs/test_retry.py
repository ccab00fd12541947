"""When a failed attempt is followed by another."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.jobs import Exponential, Fixed, NoRetry

bases = st.floats(min_value=1, max_value=1e300)
caps = st.floats(min_value=0.001, max_value=1e9)


class BadAddress(Exception):
    pass


class WorseAddress(BadAddress):
    pass


def test_the_wait_doubles_with_each_failure_up_to_its_cap():
    policy = Exponential(base=2, cap=60, jitter=0)

    assert [2, 4, 8, 16, 32, 60, 60] == [policy.delay_seconds(failures) for failures in range(1, 8)]


def test_a_base_just_above_one_reaches_its_cap_too():
    assert 3600 == Exponential(base=1.05, cap=3600, jitter=0).delay_seconds(200)


@given(base=bases, cap=caps, failures=st.integers(1, 1000), jitter=st.floats(0, 1))
def test_no_number_of_failures_breaks_the_arithmetic(base, cap, failures, jitter):
    seconds = Exponential(base=base, cap=cap, jitter=jitter).delay_seconds(failures)

    assert seconds is not None
    assert math.isfinite(seconds)
    assert 0 <= seconds <= cap * (1 + jitter)


def test_jitter_spreads_those_that_failed_together():
    policy = Exponential(base=10, cap=3600, jitter=0.2)
    waits = [policy.delay_seconds(2) for _ in range(200)]

    assert len(set(waits)) > 100
    assert all(80 <= wait <= 120 for wait in waits)


@pytest.mark.parametrize("policy", [Exponential(never=(BadAddress,)), Fixed(seconds=1, never=(BadAddress,))])
def test_some_errors_are_never_retried_nor_are_those_derived_from_them(policy):
    assert policy.delay_seconds(1, BadAddress()) is None
    assert policy.delay_seconds(1, WorseAddress()) is None
    assert policy.delay_seconds(1, ValueError()) is not None
    assert policy.delay_seconds(1) is not None


def test_a_fixed_wait_stays_the_same():
    assert [7, 7, 7] == [Fixed(seconds=7).delay_seconds(failures) for failures in (1, 5, 500)]


def test_what_must_not_be_tried_twice_is_not():
    assert NoRetry().delay_seconds(1, ValueError()) is None


@pytest.mark.parametrize(
    "wrong", [{"base": 0.5}, {"cap": 0}, {"jitter": -0.1}, {"jitter": 1.1}, {"base": math.nan}, {"cap": math.inf}],
)
def test_a_policy_of_impossible_numbers_is_refused(wrong):
    with pytest.raises(ValueError, match="Exponential needs"):
        Exponential(**wrong)


def test_a_negative_fixed_wait_is_refused():
    with pytest.raises(ValueError, match="seconds"):
        Fixed(seconds=-1)
