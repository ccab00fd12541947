import asyncio
import threading
from datetime import timedelta

import pytest

from locks import AsyncLocks, Locks
from locks.errors import LockHeld, LockLost
from locks.lease import Ending
from locks.row import State
from locks.stores.memory import MemoryStore
from locks.testing.network import BadNetwork, Fate
from tests.support.waiting import until

LEASE = timedelta(seconds=1)


@pytest.fixture
def store():
    return MemoryStore()


@pytest.fixture
def locks(store):
    locks = Locks(store)
    yield locks
    locks.close()


def test_a_lock_is_had_and_given_back(locks):
    async def main():
        async with await AsyncLocks(locks).acquire("a") as lease:
            lease.check()
            await lease.renew()
            with pytest.raises(LockHeld):
                await AsyncLocks(locks).try_acquire("a")
        return lease.token, await lease.release()

    token, ending = asyncio.run(main())
    assert (token, State.FREE, Ending.RELEASED) == (locks.inspect("a").fence, locks.inspect("a").state, ending)


def test_waiting_does_not_hold_up_the_loop(locks):
    held = locks.acquire("a")

    async def main():
        waiting = asyncio.create_task(AsyncLocks(locks).acquire("a"))
        await asyncio.sleep(0)
        free = await AsyncLocks(locks).acquire("b")    # the loop goes on meanwhile
        held.release()
        return free, await waiting

    free, waited = asyncio.run(main())
    assert waited.token > held.token
    free.check()


def test_a_cancelled_acquire_gives_back_what_it_wins(locks, store):
    arrived, go_on = threading.Event(), threading.Event()

    class Slow:
        def carry(self, change, deliver):
            arrived.set()
            go_on.wait()
            return deliver()

        def fetch(self, reading):
            return reading()

    async def main():
        task = asyncio.create_task(AsyncLocks(locks).acquire("a"))
        await asyncio.to_thread(arrived.wait)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        go_on.set()
        await asyncio.to_thread(until, lambda: (row := locks.inspect("a")) is not None and row.fence > 0 and row.state == State.FREE)

    store.network = Slow()
    asyncio.run(main())


def test_a_loss_is_told_on_the_loop_and_ends_the_block(locks, store):
    async def main():
        told = asyncio.get_running_loop().create_future()
        async with await AsyncLocks(locks).acquire(
            "a", lease=LEASE, on_lost=lambda _, why: told.set_result((why, threading.current_thread())),
        ):
            store.network = BadNetwork(lambda _: Fate.NOT_SENT)
            said.append(await told)
            store.network = BadNetwork(lambda _: Fate.WELL)

    said = []
    with pytest.raises(LockLost):
        asyncio.run(main())
    assert [("expired", threading.main_thread())] == said
