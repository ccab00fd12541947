"""Rescues wait after any gap in what is seen of the database's clock."""

from datetime import UTC, datetime, timedelta

import pytest

from apps.jobs.scheduling.hold import RescueHold

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def at(seconds):
    return NOON + timedelta(seconds=seconds)


def seen(*seconds, lease_seconds=10.0):
    hold = RescueHold(lease_seconds)
    for each in seconds:
        hold.see(at(each))
    return hold


def test_nothing_is_rescued_before_the_clock_was_ever_seen():
    assert seen().until is None


@pytest.mark.parametrize("looks", [(0,), (0, 1, 2, 3, 4, 4.9)])
def test_a_new_dispatcher_holds_rescues_for_half_a_lease(looks):
    assert seen(*looks).until is None


def test_afterwards_a_rescue_may_be_executed_until_shortly_after_the_last_look():
    assert at(7) == seen(0, 1, 2, 3, 4, 5).until


def test_a_gap_begins_a_new_hold():
    hold = seen(0, 1, 2, 3, 4, 5)

    assert hold.see(at(7.5))
    assert hold.until is None
    for each in (9, 10.5, 12):
        hold.see(at(each))
    assert hold.until is None
    hold.see(at(12.5))
    assert at(14.5) == hold.until


def test_looks_that_follow_one_another_begin_no_hold():
    hold = seen(0, 1, 2, 3, 4, 5)

    assert not hold.see(at(7))


@pytest.mark.parametrize(("lease_seconds", "longest"), [(3.0, 2.0), (30.0, 10.0), (300.0, 100.0)])
def test_what_a_duty_of_ours_takes_is_a_gap_when_it_is_more_than_a_third_of_a_lease(lease_seconds, longest):
    for took, gap in ((longest, False), (longest + 0.1, True)):
        hold = seen(*range(int(lease_seconds)), lease_seconds=lease_seconds)
        last = int(lease_seconds) - 1

        assert gap == hold.see(at(last + took), ours=True)
        assert (None if gap else at(last + took + 2)) == hold.until


def test_after_a_duty_of_ours_a_gap_is_a_gap_again():
    hold = seen(*range(30), lease_seconds=30.0)
    hold.see(at(35), ours=True)

    assert hold.see(at(37.5))


def test_a_clock_that_goes_back_during_a_duty_of_ours_is_a_gap():
    hold = seen(*range(30), lease_seconds=30.0)

    assert hold.see(at(28), ours=True)


def test_a_lost_connection_is_a_gap_however_short():
    hold = seen(0, 1, 2, 3, 4, 5)
    hold.forget()

    assert hold.until is None
    assert hold.see(at(5.1))
    assert hold.until is None


def test_a_clock_that_went_back_is_a_gap_and_its_hold_counts_from_there():
    hold = seen(3600, 3601, 3602, 3603, 3604, 3605)

    assert hold.see(at(0))
    assert hold.until is None
    for each in (1, 2, 3, 4, 5):
        hold.see(at(each))
    assert at(7) == hold.until
