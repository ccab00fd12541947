"""What happens to locks is counted, without a label that names one."""

import uuid

import pytest
from prometheus_client import REGISTRY

from core.locking import metrics
from locks.answers import Unknown
from locks.changes import Release
from locks.observer import Answered, Cancelled, Granted, Lost, NotHeld, Released

pytestmark = pytest.mark.django_db


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
    change = Release(name="a", fence=5, nonce=uuid.uuid4())
    for number in range(2):
        metrics.OBSERVER.tell(Answered(name="a", change=change, answer=Unknown("lost"), number=number, seconds=0.1))
    metrics.OBSERVER.tell(Cancelled(name="a", change=change, how="undone"))
    metrics.OBSERVER.tell(NotHeld(name="a", nonce=uuid.uuid4(), why="LockUnknown", waited_seconds=1.0))

    assert 2 == rise("latchwork_lock_answers_total", change="Release", answer="unknown")
    assert 1 == rise("latchwork_lock_repeats_total")
    assert 1 == rise("latchwork_lock_cancelled_total", how="undone")
    assert 1 == rise("latchwork_lock_acquires_total", outcome="unknown")


def test_no_series_names_a_lock(theirs, name):
    theirs.acquire(name).release()

    assert not [
        sample for family in REGISTRY.collect() for sample in family.samples
        if sample.name.startswith("latchwork_lock_") and any(name in label for label in sample.labels.values())
    ]
