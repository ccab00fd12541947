"""Outcomes are values that cannot contradict themselves."""

from dataclasses import FrozenInstanceError, fields
from datetime import UTC, datetime, timedelta

import pytest

import apps.jobs
from apps.jobs import Cancel, Discard, Retry, Snooze


def test_a_snooze_takes_a_delay_or_a_moment():
    assert timedelta(minutes=5) == Snooze(timedelta(minutes=5)).delay
    assert datetime(2030, 1, 1, tzinfo=UTC) == Snooze(until=datetime(2030, 1, 1, tzinfo=UTC)).until


@pytest.mark.parametrize("arguments", [{}, {"delay": timedelta(0), "until": datetime(2030, 1, 1, tzinfo=UTC)}])
def test_a_snooze_of_both_or_none_is_refused(arguments):
    with pytest.raises(ValueError, match="either a delay or a moment"):
        Snooze(**arguments)


def test_a_snooze_until_a_moment_without_zone_is_refused():
    with pytest.raises(ValueError, match="with its zone"):
        Snooze(until=datetime(2030, 1, 1))  # noqa: DTZ001  the point of this test


@pytest.mark.parametrize("outcome", [Retry(), Snooze(timedelta(1)), Cancel("pointless"), Discard("hopeless")])
def test_an_outcome_cannot_be_changed(outcome):
    with pytest.raises(FrozenInstanceError):
        setattr(outcome, fields(outcome)[0].name, "another")


def test_all_that_a_users_module_needs_is_importable_from_one_place():
    for name in apps.jobs.__all__:
        assert hasattr(apps.jobs, name)
