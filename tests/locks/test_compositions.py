"""What is made of locks: leadership, re-entrancy."""

import asyncio
import threading
from datetime import timedelta

import pytest

import locks as package
from locks import Leadership, LockHeld, LockLost, Locks, NotLeader, Reentrant, Semaphore, open_store
from locks.row import State
from locks.stores.memory import MemoryStore
from locks.testing.clock import ManualClock
from locks.testing.network import BadNetwork, Fate
from tests.support.waiting import until

LEASE = timedelta(seconds=1)


@pytest.fixture
def store():
    return MemoryStore()


def test_one_candidate_leads_and_the_next_has_a_higher_term(store):
    elected, deposed = [], []
    first, second = (
        Leadership(Locks(store), "beat", lease=LEASE, on_elected=elected.append, on_deposed=deposed.append) for _ in range(2)
    )
    first.start()
    until(lambda: len(elected) == 1)
    assert elected == [first.term()]
    second.start()
    with pytest.raises(NotLeader):
        second.term()

    first.stop()
    until(lambda: len(elected) == 2)
    assert second.term() > elected[0]
    assert [] == deposed    # whoever steps down is not deposed
    with pytest.raises(NotLeader):
        first.term()
    second.stop()


def test_a_leader_that_cannot_renew_is_deposed_and_stands_again(store):
    elected, deposed = [], []
    leader = Leadership(Locks(store), "beat", lease=LEASE, on_elected=elected.append, on_deposed=deposed.append)
    leader.start()
    until(lambda: elected)
    store.network = BadNetwork(lambda _: Fate.NOT_SENT)
    until(lambda: deposed == elected)
    with pytest.raises(NotLeader):
        leader.term()

    store.network = BadNetwork(lambda _: Fate.WELL)
    until(lambda: len(elected) == 2)
    assert leader.term() > deposed[0]
    leader.stop()


def test_whoever_has_a_lock_may_have_it_again_and_gives_it_back_with_the_last_level(store):
    locks = Locks(store)
    reentrant = Reentrant(locks)
    with reentrant.acquire("a") as outer:
        with reentrant.acquire("a") as inner:
            assert outer.token == inner.token
        inner.release()    # leaving twice is leaving once
        assert State.HELD == locks.inspect("a").state

    assert State.FREE == locks.inspect("a").state


def test_another_thread_and_another_task_are_others(store):
    reentrant, refused = Reentrant(Locks(store)), []

    def other():
        with pytest.raises(LockHeld):
            reentrant.acquire("a", timeout=timedelta(seconds=0.1))
        refused.append(1)

    with reentrant.acquire("a"):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()

    async def tasks():
        async def one():
            with reentrant.acquire("b"):
                await asyncio.sleep(0.05)

        return await asyncio.gather(one(), asyncio.create_task(two()), return_exceptions=True)

    async def two():
        await asyncio.sleep(0.01)
        reentrant.acquire("b", timeout=timedelta(seconds=0.01))

    assert ([1], [type(None), LockHeld]) == (refused, [type(each) for each in asyncio.run(tasks())])


def test_what_is_lost_is_not_had_again(store):
    clock = ManualClock()
    reentrant = Reentrant(Locks(store, clock=clock, background=False))
    hold = reentrant.acquire("a", lease=LEASE)
    clock.advance(2)

    with pytest.raises(LockLost):
        reentrant.acquire("a")
    hold.release()


def test_a_semaphore_without_permits_is_refused(store):
    with pytest.raises(ValueError, match="at least one"):
        Semaphore(Locks(store), "a", permits=0)


def test_every_public_name_is_there():
    assert [] == [name for name in package.__all__ if not hasattr(package, name)]


def test_an_address_of_no_known_store_is_refused():
    with pytest.raises(ValueError, match="memory, postgresql or cassandra"):
        open_store("redis://127.0.0.1")
