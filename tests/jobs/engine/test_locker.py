"""The threads that wait for the store of locks: what they say, and what they spare a store that is away."""

from datetime import timedelta

import pytest

from apps.jobs.engine import locker as lockers
from apps.jobs.engine.locker import Busy, Granted, Locker, Lost, Released, Untold, Wanted
from core.ids import uuid7
from locks import Locks, LockStoreUnavailable, State
from locks.stores.memory import MemoryStore
from locks.testing.clock import ManualClock
from tests.jobs.engine.test_stock import rows
from tests.support.waiting import until

LEASE = timedelta(seconds=3)


def wanted(name="k", number=0):
    return Wanted(name=name, lease=LEASE, on_busy="snooze", owner="test", claim=rows(number + 1)[number])


def said(locker, count=1):
    until(lambda: len(locker.news) >= count, message="nothing was said")
    return list(locker.news)


class Away:
    """Locks whose store does not answer."""

    def __init__(self):
        self.asked = 0
        self.store = MemoryStore()

    def try_acquire(self, name, **_):
        self.asked += 1
        raise LockStoreUnavailable(name, "nobody is there")

    def close(self):
        """Nothing is open."""


@pytest.fixture
def memory():
    """Locks of two processes in one store, on one clock."""
    store, clock = MemoryStore("test"), ManualClock()
    return Locks(store, clock=clock, background=False), Locks(store, clock=clock, background=False), clock


def test_a_lock_that_is_free_is_granted_and_given_back(memory):
    ours, other, _ = memory
    locker = Locker(lambda: ours)
    locker.acquire(wanted())
    (granted,) = said(locker)
    held = other.inspect("k").state
    locker.release(granted.lease, key="k")
    said(locker, 2)

    assert isinstance(granted, Granted)
    assert (State.HELD, State.FREE) == (held, other.inspect("k").state)
    assert Released("k") == locker.news[1]


def test_a_lock_that_is_held_says_by_whom_and_how_long_at_most(memory):
    ours, other, _ = memory
    other.acquire("k", lease=LEASE, owner="somebody else")
    locker = Locker(lambda: ours)
    locker.acquire(wanted())
    (busy,) = said(locker)

    assert isinstance(busy, Busy)
    assert "somebody else has it" in busy.why
    assert 2.9 < busy.free_in_seconds < 3.2


def test_a_dead_holders_lock_is_freed_by_who_saw_it_for_a_whole_lease(memory):
    ours, other, clock = memory
    other.acquire("k", lease=LEASE)
    locker = Locker(lambda: ours)
    locker.acquire(wanted())
    (busy,) = said(locker)
    clock.advance(busy.free_in_seconds + 0.01)
    locker.nudge(wanted())

    until(lambda: other.inspect("k").state == State.FREE, message="it was not freed")


def test_to_look_after_a_dead_holder_disturbs_nobody(memory):
    ours, other, _ = memory
    other.acquire("k", lease=LEASE).release()
    before, held = other.inspect("k"), other.acquire("held", lease=LEASE)
    locker = Locker(lambda: ours)
    for name in ("k", "held", "unknown"):
        locker.nudge(wanted(name))
    locker.acquire(wanted("last"))   # its answer comes once a thread is free
    said(locker)

    assert before == other.inspect("k")
    assert held.remaining() > timedelta(0)
    assert State.HELD == other.inspect("held").state
    assert other.inspect("unknown") is None


def test_a_lock_that_a_job_has_is_told_from_one_that_somebody_else_has(memory):
    ours, other, _ = memory
    other.acquire("a", lease=LEASE, owner=lockers.owner_of("w1@host", str(uuid7())))
    other.acquire("b", lease=LEASE, owner="somebody with a job")
    locker = Locker(lambda: ours)
    locker.acquire(wanted("a"))
    (first,) = said(locker)
    locker.acquire(wanted("b"))
    second = said(locker, 2)[1]

    assert (True, False) == (first.by_job, second.by_job)


def test_a_lease_shorter_than_a_store_allows_is_made_longer_and_puts_off_nobody():
    slow = Locks(MemoryStore("slow", shortest_lease_seconds=5.0), background=False)
    locker = Locker(lambda: slow)
    locker.acquire(wanted())
    (granted,) = said(locker)

    assert isinstance(granted, Granted)
    assert timedelta(seconds=3) < granted.lease.remaining() <= timedelta(seconds=5)


def test_a_lost_lease_is_told_with_its_token(memory):
    ours, other, _ = memory
    locker = Locker(lambda: ours)
    asked = wanted()
    locker.acquire(asked)
    (granted,) = said(locker)
    other.force_release("k", granted.lease.token, reason="a test", by="operator")
    ours.keeper.run_once()
    granted.lease.try_renewal()
    news = said(locker, 2)

    assert Lost(asked, granted.lease.token, "taken") == news[1]


@pytest.mark.parametrize(("away_seconds", "most"), [(60.0, lockers.THREADS), (0.0, 50)])
def test_a_store_that_is_away_is_asked_by_no_more_than_the_threads(monkeypatch, away_seconds, most):
    monkeypatch.setattr(lockers, "AWAY_SECONDS", away_seconds)
    away = Away()
    locker = Locker(lambda: away)
    for number in range(50):
        locker.acquire(wanted(f"k{number}"))
    news = said(locker, 50)

    assert {(Untold, True)} == {(type(each), each.away) for each in news}
    assert "nobody is there" in news[-1].why
    assert away.asked <= most
    assert away_seconds or away.asked == most


def test_a_store_that_cannot_be_opened_is_as_good_as_away():
    def broken():
        raise ValueError("no such address")

    locker = Locker(broken)
    locker.acquire(wanted())
    (news,) = said(locker)

    assert (Untold, True, "no such address") == (type(news), news.away, news.why)
