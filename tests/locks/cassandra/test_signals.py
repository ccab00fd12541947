"""Every answer that the driver may give, at every step of a lock's life: what is unknown is resolved, never guessed.

Each is injected twice: in place of a statement that never arrived, and in place of the answer of one that was executed.
"""

import uuid
from datetime import timedelta

import pytest

from locks import changes
from locks.lease import Ending
from locks.locks import Locks
from locks.row import State
from locks.stores.cassandra import CassandraStore
from tests.locks.cassandra.signals import SIGNALS

CASES = [
    pytest.param(signal, executed, id=f"{signal.name}, {'executed' if executed else 'lost'}")
    for signal in SIGNALS for executed in (False, True) if not (executed and signal.unsent)
]
LEASE = timedelta(seconds=30)


class Interference:
    """Raise a signal in place of the answer to the first statement of one kind."""

    def __init__(self, store, kind, signal, *, executed):
        self.kind, self.signal, self.executed, self.hits = kind, signal, executed, 0
        self._ask, store.connection.ask = store.connection.ask, self.ask

    def ask(self, key, values, **options):
        if key is not self.kind or self.hits:
            return self._ask(key, values, **options)
        self.hits += 1
        if self.executed:
            self._ask(key, values, **options)
        raise self.signal.raised


@pytest.fixture(scope="module")
def shared_store(shared_ring):
    store = CassandraStore(shared_ring.direct, namespace=f"signals-{uuid.uuid4().hex}")
    yield store
    store.close()


@pytest.fixture
def store(shared_store, monkeypatch):
    monkeypatch.setattr(shared_store.connection, "ask", shared_store.connection.ask)
    return shared_store


@pytest.fixture
def locks(store):
    return Locks(store, background=False)


def name():
    return f"lock-{uuid.uuid4().hex}"


@pytest.mark.parametrize(("signal", "executed"), CASES)
def test_a_cold_acquire_ends_with_one_grant(store, locks, signal, executed):
    lock, hit = name(), Interference(store, changes.Create, signal, executed=executed)
    lease = locks.acquire(lock, lease=LEASE)
    row = locks.inspect(lock)

    assert (1, State.HELD, lease.token, lease.nonce) == (hit.hits, row.state, row.fence, row.nonce)


@pytest.mark.parametrize(("signal", "executed"), CASES)
def test_a_warm_acquire_ends_with_one_grant(store, locks, signal, executed):
    lock = name()
    first = locks.acquire(lock, lease=LEASE)
    first.release()
    hit = Interference(store, changes.Acquire, signal, executed=executed)
    lease = locks.acquire(lock, lease=LEASE)
    row = locks.inspect(lock)

    assert (1, State.HELD, lease.token, lease.nonce) == (hit.hits, row.state, row.fence, row.nonce)
    assert lease.token > first.token


@pytest.mark.parametrize(("signal", "executed"), CASES)
def test_a_renewal_counts_once(store, locks, signal, executed):
    lock = name()
    lease = locks.acquire(lock, lease=LEASE)
    hit, before = Interference(store, changes.Renew, signal, executed=executed), lease.deadline
    lease.renew()

    assert (1, 1, True) == (hit.hits, locks.inspect(lock).hb, lease.deadline > before)


@pytest.mark.parametrize(("signal", "executed"), CASES)
def test_a_release_frees_and_says_so(store, locks, signal, executed):
    lock = name()
    lease = locks.acquire(lock, lease=LEASE)
    hit = Interference(store, changes.Release, signal, executed=executed)
    ending = lease.release()

    assert (1, Ending.RELEASED, State.FREE) == (hit.hits, ending, locks.inspect(lock).state)


@pytest.mark.parametrize(("signal", "executed"), CASES)
def test_a_forced_release_hits_that_grant_and_no_other(store, locks, signal, executed):
    lock = name()
    lease = locks.acquire(lock, lease=LEASE)
    hit = Interference(store, changes.ForceRelease, signal, executed=executed)
    forced = locks.force_release(lock, lease.token, reason="a test", by="somebody")
    row = locks.inspect(lock)

    assert (1, "freed", State.FREE, lease.token + 1) == (hit.hits, forced.value, row.state, row.fence)


@pytest.mark.parametrize(("signal", "executed"), CASES)
def test_a_purge_keeps_the_token_from_coming_back(store, locks, signal, executed):
    lock = name()
    lease = locks.acquire(lock, lease=LEASE)
    lease.release()
    hit = Interference(store, changes.RaiseFloor, signal, executed=executed)
    locks.purge(lock, by="somebody")

    assert (1, None, True) == (hit.hits, locks.inspect(lock), locks.floor() >= lease.token)
