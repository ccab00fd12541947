"""A lease under one holder's eyes, with time passing as told."""

from datetime import timedelta

import pytest

from locks.changes import Acquire, AcquireExact, Create, Renew
from locks.errors import LockHeld, LockLost, LockStoreUnavailable, LockUnknown
from locks.lease import Ending
from locks.locks import Locks
from locks.observer import Answered, Granted, GuessMissed
from locks.row import State
from locks.stores.memory import MemoryStore
from locks.testing.clock import ManualClock
from locks.testing.contract_locks import Heard
from locks.testing.network import BadNetwork, Fate, scripted

LEASE = timedelta(seconds=6)
BRIEF = timedelta(seconds=0.5)


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def heard():
    return Heard()


@pytest.fixture
def store():
    """A store with one used, free lock `a`."""
    store = MemoryStore(attempt_seconds=1.0)
    Locks(store, clock=ManualClock(), background=False).acquire("a").release()
    return store


@pytest.fixture
def locks(store, clock, heard):
    clock.advance(1)    # the token of the store's first use is behind this clock
    return Locks(store, owner="ann", clock=clock, observer=heard, background=False)


def hurt(store, *fates):
    store.network = BadNetwork(scripted(*fates))
    return store.network


def is_certain(error):
    """Tell an error of which it is known that nothing was done from one of which it is not."""
    return not isinstance(error, LockUnknown)


def changes(heard):
    return [type(happening.change) for happening in heard.happenings if isinstance(happening, Answered)]


def test_the_first_use_of_a_name_makes_its_row_and_then_acquires_from_exactly_that(locks, heard):
    locks.acquire("new")

    assert [Acquire, Create, AcquireExact] == changes(heard)


def test_a_slow_clock_costs_one_question_and_no_token(store, heard):
    slow = ManualClock()
    slow.offset = -3600
    before = store._rows["a"].fence

    lease = Locks(store, clock=slow, observer=heard, background=False).acquire("a")

    assert before + 1 == lease.token
    assert [Acquire, AcquireExact] == changes(heard)
    assert 1 == sum(isinstance(happening, GuessMissed) for happening in heard.happenings)


def test_a_lease_is_trusted_less_long_than_others_wait(locks, clock):
    begun = clock.now()
    lease = locks.acquire("a", lease=LEASE)

    with pytest.raises(LockHeld) as caught:
        locks.try_acquire("a")

    assert lease.deadline < begun + 6 < begun + caught.value.free_in_seconds


def test_a_grant_whose_answer_was_lost_is_recognised_and_counts_from_its_first_copy(locks, store, clock, heard):
    hurt(store, Fate.REPLY_LOST)
    begun = clock.now()

    lease = locks.acquire("a", lease=LEASE)

    assert [True] == [happening.adopted for happening in heard.happenings if isinstance(happening, Granted)]
    assert clock.now() > begun
    assert begun + 6 * 0.99 - 0.1 == pytest.approx(lease.deadline)


def test_a_copy_that_comes_late_after_its_repetition_won_does_nothing(locks, store):
    network = hurt(store, Fate.HELD_UP)
    lease = locks.acquire("a", lease=LEASE)
    row = store._rows["a"]

    network.deliver_late()

    assert row == store._rows["a"]
    lease.check()


def test_without_an_answer_nobody_knows_and_the_canceller_gives_back_what_was_won(locks, store):
    hurt(store, *[Fate.REPLY_LOST] * 20)

    with pytest.raises(LockUnknown):
        locks.acquire("a", lease=LEASE, timeout=BRIEF)

    assert State.HELD == store._rows["a"].state
    hurt(store)
    locks.canceller.run_once()
    assert (State.FREE, 0) == (store._rows["a"].state, locks.canceller.pending)


def test_whoever_reckons_with_a_store_that_is_away_reckons_with_an_outcome_that_is_unknown(locks, store):
    hurt(store, *[Fate.REPLY_LOST] * 20)

    with pytest.raises(LockStoreUnavailable) as raised:
        locks.acquire("a", lease=LEASE, timeout=BRIEF)

    assert (LockUnknown, 1) == (type(raised.value), locks.canceller.pending)
    assert str(raised.value).startswith("nobody knows yet who has lock 'a'")


@pytest.mark.parametrize(("fate", "expected"), [(Fate.NOT_SENT, LockStoreUnavailable), (Fate.REPLY_LOST, LockUnknown)])
def test_a_floor_that_was_not_raised_is_told_from_one_that_may_have_been(locks, store, fate, expected):
    hurt(store, *[fate] * 50)

    with pytest.raises(LockStoreUnavailable) as raised:
        locks.raise_floor(7, reason="restored", by="ann", timeout=BRIEF)

    assert expected is type(raised.value)


def test_the_canceller_gives_back_what_a_late_copy_won(locks, store, clock):
    network = hurt(store, *[Fate.HELD_UP] * 20)
    with pytest.raises(LockUnknown):
        locks.acquire("a", lease=LEASE, timeout=BRIEF)
    store.network = BadNetwork(scripted())
    network.deliver_late()
    assert State.HELD == store._rows["a"].state

    locks.canceller.run_once()

    assert State.FREE == store._rows["a"].state
    while network.late:
        network.deliver_late()
    assert State.FREE == store._rows["a"].state


def test_a_store_that_turns_all_away_is_unavailable_and_nothing_is_left_to_cancel(locks, store):
    hurt(store, *[Fate.NOT_SENT] * 50)

    with pytest.raises(LockStoreUnavailable, check=is_certain):
        locks.acquire("a", timeout=BRIEF)

    assert (State.FREE, 0) == (store._rows["a"].state, locks.canceller.pending)


def test_one_doubt_makes_the_whole_call_unknown(locks, store):
    hurt(store, Fate.HELD_UP, *[Fate.NOT_SENT] * 50)

    with pytest.raises(LockUnknown):
        locks.acquire("a", timeout=BRIEF)


def test_a_first_question_that_may_still_arrive_makes_the_refusal_unknown(locks, store, clock):
    """It would take effect when the holder releases: whoever was told "held" would be the holder then."""
    other = Locks(store, owner="bob", clock=clock, background=False).acquire("a", lease=LEASE)
    clock.advance(0.5)
    network = hurt(store, Fate.HELD_UP)

    with pytest.raises(LockUnknown, match="on its way"):
        locks.try_acquire("a")

    locks.canceller.run_once()
    assert 1 == locks.canceller.pending    # nothing to give back yet
    other.release()
    network.deliver_late()
    assert State.HELD == store._rows["a"].state
    clock.advance(1)
    locks.canceller.run_once()
    assert (State.FREE, 0) == (store._rows["a"].state, locks.canceller.pending)


def test_a_first_question_that_can_apply_no_more_leaves_the_refusal_certain(locks, store, clock):
    ahead = ManualClock()
    ahead.offset = 3600
    Locks(store, owner="bob", clock=ahead, background=False).acquire("a", lease=LEASE)
    hurt(store, Fate.HELD_UP)

    with pytest.raises(LockHeld):
        locks.try_acquire("a")
    assert 0 == locks.canceller.pending


def test_renewal_comes_at_a_third_and_moves_the_deadline(locks, clock):
    lease = locks.acquire("a", lease=LEASE)
    first = lease.deadline
    clock.advance(1.9)
    locks.keeper.run_once()
    too_early = lease.deadline
    clock.advance(0.2)
    locks.keeper.run_once()

    assert (first, pytest.approx(first + 2.1)) == (too_early, lease.deadline)


def test_an_unknown_renewal_moves_no_deadline_and_its_success_counts_from_the_first_copy(locks, store, clock):
    lease = locks.acquire("a", lease=LEASE)
    first = lease.deadline
    clock.advance(2)
    hurt(store, Fate.REPLY_LOST)
    locks.keeper.run_once()
    unmoved = lease.deadline
    clock.advance(1)
    locks.keeper.run_once()

    # the copy of 1 s ago is what others saw: from then on they count
    assert (first, pytest.approx(first + 2)) == (unmoved, lease.deadline)
    assert 1 == store._rows["a"].hb


def test_a_lease_that_cannot_be_renewed_warns_at_two_thirds_and_ends_at_its_deadline(locks, store, clock):
    said = []
    lease = locks.acquire(
        "a", lease=LEASE, on_danger=lambda _, left: said.append(("danger", round(left, 1))), on_lost=lambda _, why: said.append(why),
    )
    hurt(store, *[Fate.NOT_SENT] * 200)
    for _ in range(80):
        clock.advance(0.1)
        locks.keeper.run_once()

    assert [("danger", 1.8), "expired"] == [(said[0][0], pytest.approx(1.8, abs=0.2)), *said[1:]]
    with pytest.raises(LockLost, match="expired"):
        lease.check()


def test_an_answer_that_comes_after_the_deadline_revives_nothing(locks, store, clock):
    lease = locks.acquire("a", lease=LEASE)
    clock.advance(7)

    with pytest.raises(LockLost):
        lease.renew()

    assert timedelta(0) == lease.remaining()


def test_renewing_by_hand_says_why_it_did_not_work(locks, store):
    lease = locks.acquire("a", lease=LEASE)
    hurt(store, *[Fate.NOT_SENT] * 50)
    with pytest.raises(LockStoreUnavailable, check=is_certain):
        lease.renew(timeout=BRIEF)
    hurt(store, *[Fate.HELD_UP] * 50)
    with pytest.raises(LockUnknown):
        lease.renew(timeout=BRIEF)
    lease.check()
    hurt(store)
    locks.force_release("a", lease.token, reason="test", by="bob")

    with pytest.raises(LockLost, match="taken"):
        lease.renew()


def test_check_wants_the_time_that_is_asked_for(locks):
    lease = locks.acquire("a", lease=LEASE)
    lease.check(timedelta(seconds=5))

    with pytest.raises(LockLost, match="left"):
        lease.check(LEASE)


def test_a_release_without_an_answer_is_finished_by_the_canceller(locks, store):
    lease = locks.acquire("a", lease=LEASE)
    hurt(store, *[Fate.HELD_UP] * 20)
    assert Ending.UNKNOWN == lease.release(timeout=BRIEF)
    hurt(store)

    locks.canceller.run_once()

    assert State.FREE == store._rows["a"].state


def test_a_release_whose_answer_was_lost_is_a_release(locks, store):
    lease = locks.acquire("a", lease=LEASE)
    hurt(store, Fate.REPLY_LOST)

    assert Ending.RELEASED == lease.release()


def test_a_lost_lease_is_given_back_all_the_same(locks, store, clock):
    lease = locks.acquire("a", lease=LEASE)
    clock.advance(7)
    locks.keeper.run_once()

    assert (Ending.RELEASED, State.FREE) == (lease.release(), store._rows["a"].state)


def test_a_block_that_outlives_its_lease_ends_with_an_error(locks, clock):
    with pytest.raises(LockLost), locks.acquire("a", lease=LEASE):
        clock.advance(7)


def test_a_lost_lease_hides_no_error_of_its_block(locks, clock):
    def block():
        with locks.acquire("a", lease=LEASE):
            clock.advance(7)
            raise KeyError

    with pytest.raises(KeyError):
        block()


def test_a_grant_whose_answer_took_most_of_its_lease_is_renewed_before_it_is_handed_out(locks, store, clock, heard):
    network = hurt(store, Fate.REPLY_LOST)
    carried = network.carry

    def slowly(change, deliver):
        answer = carried(change, deliver)
        if len(network.fates) == 1:
            clock.advance(5)
        return answer

    network.carry = slowly
    lease = locks.acquire("a", lease=LEASE, timeout=timedelta(seconds=20))

    assert [Acquire, Acquire, Renew] == changes(heard)
    assert lease.remaining() > LEASE * 0.9
    lease.renew()    # its version is known


def test_a_grant_that_was_over_before_its_answer_came_is_unknown_and_given_back(locks, store, clock):
    network = hurt(store)
    carried = network.carry

    def slowly(change, deliver):
        answer = carried(change, deliver)
        clock.advance(9 if isinstance(change, Acquire | Renew) else 0)
        return answer

    network.carry = slowly
    with pytest.raises(LockUnknown, match="over before"):
        locks.acquire("a", lease=LEASE, timeout=timedelta(seconds=20))

    locks.canceller.run_once()
    assert State.FREE == store._rows["a"].state


def test_a_holder_that_is_seen_by_one_thread_is_not_waited_for_anew_by_another(locks, store, clock):
    Locks(store, owner="gone", clock=clock, background=False).acquire("a", lease=LEASE)
    with pytest.raises(LockHeld):
        locks.try_acquire("a")
    clock.advance(6.2)

    assert locks.try_acquire("a", lease=LEASE).token


def test_closing_ends_what_was_not_released(locks, clock):
    why = []
    lease = locks.acquire("a", lease=LEASE, on_lost=lambda _, said: why.append(said))

    locks.close()

    assert (["closed"], None) == (why, locks.keeper.run_once())
    with pytest.raises(LockLost, match="closed"):
        lease.check()


@pytest.mark.parametrize("name", ["", "x" * 256, "é" * 128, "a\0b"])
def test_a_name_that_no_store_can_keep_is_refused(locks, name):
    with pytest.raises(ValueError, match="name"):
        locks.acquire(name)


def test_a_lease_too_short_for_the_store_is_refused(locks):
    with pytest.raises(ValueError, match="too short"):
        locks.acquire("a", lease=timedelta(seconds=0.01))


