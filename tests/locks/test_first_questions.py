"""What is asked first: for the lock, for its making, or how it stands; each where it spares a question."""

from datetime import timedelta

import pytest

from locks.errors import LockHeld, LockStoreUnavailable, LockUnknown
from locks.locks import Locks
from locks.row import State
from locks.stores.memory import MemoryStore
from locks.testing.clock import ManualClock
from locks.testing.contract_locks import Heard
from locks.testing.network import BadNetwork, Fate, scripted

LEASE = timedelta(seconds=30)
BRIEF = timedelta(seconds=0.5)


class Asked:
    """One process on a store, and what it has sent for a lock."""

    def __init__(self, store, clock):
        self.store, self.heard = store, Heard()
        self.locks = Locks(store, clock=clock, background=False, observer=self.heard)

    def use(self, name):
        """Return the changes that an acquire has sent."""
        network = self.store.network = BadNetwork(scripted())
        self.locks.acquire(name, lease=LEASE, timeout=BRIEF).release()
        return [type(change).__name__ for change, _ in network.fates[:-1]]


def is_certain(error):
    """Tell an error of which it is known that nothing was done from one of which it is not."""
    return not isinstance(error, LockUnknown)


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def store():
    return MemoryStore()


@pytest.fixture
def process(store, clock):
    return Asked(store, clock)


def test_after_three_new_names_the_next_is_made_before_it_is_asked_for(process):
    sent = [process.use(f"payment:{number}") for number in range(5)]

    assert [["Acquire", "Create", "AcquireExact"]] * 3 + [["Create", "AcquireExact"]] * 2 == sent


def test_a_name_that_was_used_before_is_asked_for_at_once_whatever_others_are_like(process):
    process.use("known")
    for number in range(5):
        process.use(f"payment:{number}")

    assert [["Acquire"], ["Acquire"]] == [process.use("known"), process.use("payment:4")]


def test_one_that_was_there_after_all_costs_a_question_and_ends_the_guessing(process, store, clock):
    Asked(store, clock).use("of another process")
    for number in range(3):
        process.use(f"payment:{number}")

    assert ["Create", "AcquireExact"] == process.use("of another process")
    assert ["Acquire", "Create", "AcquireExact"] == process.use("payment:3")


def test_a_wrong_guess_is_no_slow_clock(process, store, clock):
    Asked(store, clock).use("of another process")
    for number in range(3):
        process.use(f"payment:{number}")
    process.use("of another process")

    assert [] == [happening for happening in process.heard.happenings if type(happening).__name__ == "GuessMissed"]


def test_what_somebody_holds_is_refused_to_who_thought_it_new(process, store, clock):
    Asked(store, clock).locks.acquire("held", lease=LEASE)
    for number in range(3):
        process.use(f"payment:{number}")

    with pytest.raises(LockHeld):
        process.locks.try_acquire("held")
    assert State.HELD == store._rows["held"].state


def test_a_store_that_is_away_is_known_to_be_away_after_one_outcome_that_is_not_known(process, store):
    process.use("a")
    store.network = network = BadNetwork(lambda _: Fate.HELD_UP, silent=lambda: True)
    with pytest.raises(LockUnknown):
        process.locks.acquire("a", lease=LEASE, timeout=BRIEF)
    sent = len(network.fates)

    with pytest.raises(LockStoreUnavailable, check=is_certain):
        process.locks.acquire("a", lease=LEASE, timeout=BRIEF)
    assert (sent, 1) == (len(network.fates), process.locks.canceller.pending)    # nothing more is under way


def test_after_the_store_is_back_one_look_comes_before_the_question_and_no_more(process, store):
    process.use("a")
    store.network = BadNetwork(lambda _: Fate.NOT_SENT)
    with pytest.raises(LockStoreUnavailable, check=is_certain):
        process.locks.acquire("a", lease=LEASE, timeout=BRIEF)
    looks = []
    look, store.look = store.look, lambda name, **options: looks.append(name) or look(name, **options)

    assert [["Acquire"], ["Acquire"], ["a"]] == [process.use("a"), process.use("a"), looks]


def test_a_takeover_tells_how_long_the_holder_was_watched_and_whether_it_ever_renewed(process, store, clock):
    gone = Asked(store, clock)
    gone.locks.acquire("a", lease=LEASE).renew()
    process.locks.acquire("a", lease=LEASE, timeout=timedelta(seconds=60))
    taken = process.heard.grants[-1]

    assert (1, True) == (taken.victim_renewals, 30.0 <= taken.observed_seconds < 32.0)
