"""What happens to locks is counted, without a label that names one."""

import uuid

import cassandra
import pytest
from cassandra.connection import ConnectionShutdown
from cassandra.protocol import ServerError
from prometheus_client import REGISTRY

from core.locking import metrics
from locks.answers import Unknown
from locks.changes import Release
from locks.observer import Answered, Cancelled, Granted, Lost, NotHeld, Released
from locks.stores.cassandra.answers import classify

pytestmark = pytest.mark.django_db
CHANGE = Release(name="a", fence=5, nonce=uuid.uuid4())


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


@pytest.fixture
def rise():
    """Return by how much a sample has risen since the test began."""
    before: dict = {}
    for family in REGISTRY.collect():
        for sample in family.samples:
            before[sample.name, tuple(sorted(sample.labels.items()))] = sample.value
    return lambda name, **labels: value(name, **labels) - before.get((name, tuple(sorted(labels.items()))), 0.0)


def test_acquires_and_releases_are_counted_with_the_changes_that_they_took(theirs, name, rise):
    theirs.acquire(name).release()   # the name's first: its row is made
    theirs.acquire(name).release()

    assert 2 == rise("latchwork_lock_acquires_total", outcome="granted")
    assert 2 == rise("latchwork_lock_acquire_changes_count")
    assert 2 == rise("latchwork_lock_answers_total", change="Release", answer="applied")
    assert 2 == rise("latchwork_lock_released_total", how="released")


def test_what_is_held_is_a_number_that_falls_once(rise):
    counting = metrics.Counting()
    granted = Granted(
        name="a", token=5, nonce=uuid.uuid4(), deadline=0.0, waited_seconds=0.1, questions=1, adopted=False, victim=None,
    )
    counting.tell(granted)
    held = value("latchwork_lock_held")
    counting.tell(Lost(name="a", token=5, why="expired"))
    counting.tell(Released(name="a", token=5, how="over", remaining_seconds=-1.0))

    assert (1, 0) == (held, value("latchwork_lock_held"))
    assert (1, 1) == (rise("latchwork_lock_lost_total", why="expired"), rise("latchwork_lock_released_total", how="over"))


def test_unknown_answers_repeats_and_late_outcomes_are_counted(rise):
    change = CHANGE
    for number in range(2):
        metrics.OBSERVER.tell(Answered(name="a", change=change, answer=Unknown("lost"), number=number, seconds=0.1))
    metrics.OBSERVER.tell(Cancelled(name="a", change=change, how="undone"))
    metrics.OBSERVER.tell(NotHeld(name="a", nonce=uuid.uuid4(), why="LockUnknown", waited_seconds=1.0))

    assert 2 == rise("latchwork_lock_answers_total", change="Release", answer="unknown")
    assert 1 == rise("latchwork_lock_repeats_total")
    assert 1 == rise("latchwork_lock_cancelled_total", how="undone")
    assert 1 == rise("latchwork_lock_acquires_total", outcome="unknown")


def test_unknown_answers_are_told_apart_by_what_was_said(rise):
    for signal in (cassandra.OperationTimedOut(), ConnectionShutdown("x"), cassandra.ReadTimeout(""), ServerError(0, "secret", None)):
        told = Answered(name="a", change=CHANGE, answer=classify(signal), number=0, seconds=0.1)
        metrics.OBSERVER.tell(told)

    for why in ("no answer in time", "connection lost", "ReadTimeout", "other"):
        assert 1 == rise("latchwork_lock_unknown_total", why=why)


def test_a_takeover_is_counted_with_how_long_it_took_to_be_sure_and_whether_it_was_of_a_ghost(rise):
    for renewals in (0, 3):
        metrics.OBSERVER.tell(Granted(
            name="a", token=5 + renewals, nonce=uuid.uuid4(), deadline=0.0, waited_seconds=7.0, questions=2, adopted=False,
            victim=uuid.uuid4(), victim_renewals=renewals, observed_seconds=6.5,
        ))

    assert (2, 13.0) == (
        rise("latchwork_lock_takeover_observed_seconds_count"), rise("latchwork_lock_takeover_observed_seconds_sum"),
    )
    assert 1 == rise("latchwork_lock_ghost_takeovers_total")
    for renewals in (0, 3):
        metrics.OBSERVER.tell(Lost(name="a", token=5 + renewals, why="expired"))   # else they count as held


def test_one_that_is_silent_touches_no_guard():
    counting = metrics.Counting()
    counting.silent = True
    counting._guard.acquire()   # as a thread of the parent held it at the fork

    counting.tell(Lost(name="a", token=5, why="expired"))


def test_no_series_names_a_lock(theirs, name):
    theirs.acquire(name).release()

    assert not [
        sample for family in REGISTRY.collect() for sample in family.samples
        if sample.name.startswith("latchwork_lock_") and any(name in label for label in sample.labels.values())
    ]
