"""A cluster in which locks could be granted twice grants none, and is looked over again until it is repaired."""

import threading
import uuid
from datetime import timedelta

import pytest
from cassandra import InvalidRequest

from core.errors import PlatformError
from core.locking import vetting
from core.locking.errors import LockOutcomeUnknown, LocksAway, translated
from core.locking.opening import open_locks
from core.locking.vetting import Unfit, Vetted, vetted
from locks import Locks, LockStoreUnavailable, LockUnknown
from locks.answers import Applied
from locks.changes import Create
from locks.stores.cassandra import Address, CassandraStore
from locks.stores.cassandra.checks import Facts, Finding, Weight
from locks.stores.memory import MemoryStore
from tests.support.cassandra import tables
from tests.support.waiting import until

WRONG = Finding(weight=Weight.WRONG, what="nodes run different Paxos", remedy="Set the same")
RISK = Finding(weight=Weight.RISK, what="a power cut forgets grants", remedy="Set commitlog_sync: batch")
CREATE = Create(name="a", nonce=uuid.uuid4(), owner="me")


@pytest.fixture
def store(monkeypatch):
    """A store of nowhere whose changes take effect in memory."""
    made, memory = CassandraStore(Address(hosts=("nowhere.invalid",), keyspace="locks")), MemoryStore()
    monkeypatch.setattr(made, "attempt", memory.attempt)
    return made


@pytest.fixture
def found(monkeypatch):
    """What is found; each look is noted."""
    says, looks = [], []

    def facts(address):
        looks.append(address)
        return Facts(nodes=(), silent=(), replication=None)

    monkeypatch.setattr(vetting.checks, "facts", facts)
    monkeypatch.setattr(vetting.checks, "findings", lambda *_: list(says))
    return says, looks


def attempt(store, seconds=5.0):
    return store.attempt(CREATE, number=0, timeout_seconds=seconds)


def test_one_that_is_fit_is_looked_over_once(store, found):
    says, looks = found
    says.append(RISK)
    looked = vetted(store)
    answers = [attempt(looked), attempt(looked)]

    assert (Applied(), 1) == (answers[0], len(looks))


def test_one_that_is_not_grants_nothing_and_says_what_to_do(store, found):
    found[0].append(WRONG)
    looked = vetted(store)

    with pytest.raises(Unfit, match=r"different Paxos\. Set the same"):
        attempt(looked)
    with pytest.raises(LocksAway), translated():
        Locks(looked).acquire("a")
    assert Applied() == attempt(store)   # without being looked over it would have


@pytest.mark.parametrize(("told", "expected"), [(LockUnknown, LockOutcomeUnknown), (LockStoreUnavailable, LocksAway)])
def test_a_change_of_which_nobody_knows_is_not_said_to_be_undone(told, expected):
    with pytest.raises(PlatformError) as raised, translated():
        raise told("a", "no answer in time")

    assert expected is type(raised.value)


def test_what_was_repaired_is_seen_without_a_new_start(store, found, monkeypatch):
    monkeypatch.setattr(vetting, "AGAIN_SECONDS", 0.0)
    says, looks = found
    says.append(WRONG)
    looked = vetted(store)
    with pytest.raises(Unfit):
        attempt(looked)
    says.clear()

    assert (Applied(), 2) == (attempt(looked), len(looks))


def test_one_that_cannot_be_asked_holds_nobody_up_and_is_asked_again(store, found, monkeypatch):
    monkeypatch.setattr(vetting, "WAIT_SECONDS", 0.01)
    says, _ = found
    says.append(WRONG)
    let_go, plain = threading.Event(), vetting.checks.facts
    monkeypatch.setattr(vetting.checks, "facts", lambda address: let_go.wait() and plain(address))
    looked = vetted(store)
    first = attempt(looked)
    let_go.set()

    assert Applied() == first
    until(lambda: looked._wrong, message="it was never looked over")
    with pytest.raises(Unfit):
        attempt(looked)


def test_a_store_without_such_settings_is_taken_as_it_is():
    memory = MemoryStore()

    assert memory is vetted(memory)


def test_what_is_opened_by_the_settings_is_looked_over(settings):
    settings.LOCKS_URL = "cassandra://nowhere.invalid/locks"
    locks = open_locks()

    assert isinstance(locks.store, Vetted)
    locks.close()


def test_a_good_cluster_grants_and_one_without_tables_does_not(settings, ring):
    settings.LOCKS_URL = tables.address(ring)
    good = open_locks()
    settings.LOCKS_URL = settings.LOCKS_URL.rpartition("/")[0] + "/nothing_here"
    bad = open_locks()
    try:
        with good.acquire(f"vetted-{uuid.uuid4().hex}", timeout=timedelta(seconds=20)) as lease:
            assert lease.token > 0
        assert "locks_schema" in str(until(lambda: refusal(bad), timeout=20))
    finally:
        good.close()
        bad.close()


def refusal(locks):
    """Return why nothing is granted, once it was looked over; before that the driver says what it does not find."""
    try:
        locks.acquire("a")
    except Unfit as exc:
        return exc
    except InvalidRequest:
        return None
