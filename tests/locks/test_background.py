"""What goes on beside the caller: nothing there may be held up by a store that hangs, or live longer than it is needed."""

import threading
import time
from datetime import timedelta

import pytest

from locks.background import Background
from locks.crew import Crew
from locks.errors import LockHeld, LockLost
from locks.locks import Locks
from locks.observer import Reaped
from locks.reaper import Reaper, ReaperConfig
from locks.row import State
from locks.stores.memory import MemoryStore
from locks.testing.contract_locks import Heard
from locks.testing.network import BadNetwork, Fate, scripted
from tests.support.waiting import until

LEASE = timedelta(seconds=1)


class Hanging:
    """A network on which everything waits until it is let go."""

    def __init__(self):
        self.let_go = threading.Event()

    def carry(self, change, deliver):
        self.let_go.wait()
        return deliver()

    def fetch(self, reading):
        return reading()


def test_a_store_that_hangs_delays_no_deadline_of_many_leases():
    store, lost = MemoryStore(), []
    locks = Locks(store)
    leases = [
        locks.acquire(f"lock-{n}", lease=LEASE, on_lost=lambda lease, why: lost.append((lease, why, time.clock_gettime(time.CLOCK_BOOTTIME))))
        for n in range(60)
    ]
    network = store.network = Hanging()

    until(lambda: len(lost) == 60)
    network.let_go.set()
    assert {"expired"} == {why for _, why, _ in lost}
    assert [] == [at - lease.deadline for lease, _, at in lost if not -0.01 < at - lease.deadline < 1.0]
    for lease in leases:
        with pytest.raises(LockLost):
            lease.check()


def test_a_callback_that_hangs_delays_no_other_lease():
    store, lost, hang = MemoryStore(), [], threading.Event()
    locks = Locks(store)
    locks.acquire("a", lease=LEASE, on_lost=lambda *_: hang.wait())
    locks.acquire("b", lease=LEASE, on_lost=lambda _, why: lost.append(why))
    store.network = BadNetwork(lambda _: Fate.NOT_SENT)

    until(lambda: lost == ["expired"])
    hang.set()


def test_a_callback_that_fails_is_logged_and_harms_nothing(caplog):
    store, lost = MemoryStore(), []
    locks = Locks(store)
    locks.acquire("a", lease=LEASE, on_lost=lambda *_: 1 / 0)
    locks.acquire("b", lease=LEASE, on_lost=lambda _, why: lost.append(why))
    store.network = BadNetwork(lambda _: Fate.NOT_SENT)

    until(lambda: lost and "ZeroDivisionError" in caplog.text)


def test_threads_end_when_nothing_is_left_to_do():
    locks = Locks(MemoryStore())
    locks.acquire("a", lease=LEASE).release()

    until(lambda: "locks-keeper" not in {thread.name for thread in threading.enumerate()})


def test_what_the_canceller_was_given_is_done_in_the_background():
    store = MemoryStore(attempt_seconds=0.2)
    locks = Locks(store)
    lease = locks.acquire("a", lease=LEASE)
    store.network = BadNetwork(scripted(*[Fate.HELD_UP] * 4))
    lease.release(timeout=timedelta(seconds=0.05))

    until(lambda: locks.inspect("a").state == 0)


def test_a_round_that_fails_is_logged_and_comes_again(caplog):
    rounds = []

    def once():
        rounds.append(1)
        if len(rounds) == 1:
            raise KeyError("x")

    background = Background("locks-test", once)
    background.wake()
    until(lambda: len(rounds) == 2)

    assert "locks-test.failed" in caplog.text


def test_news_during_a_round_are_not_missed():
    rounds, inside, go_on = [], threading.Event(), threading.Event()

    def once():
        rounds.append(1)
        inside.set()
        go_on.wait()

    background = Background("locks-test", once)
    background.wake()
    inside.wait()
    background.wake()
    go_on.set()

    until(lambda: len(rounds) == 2)


def test_a_crew_works_on_so_many_things_at_once_and_leaves_none_undone():
    crew, guard, running, most, done = Crew("locks-test", most=3), threading.Lock(), [], [], []

    def task():
        with guard:
            running.append(1)
            most.append(len(running))
        time.sleep(0.005)
        with guard:
            running.pop()
            done.append(1)

    for _ in range(40):
        crew.run(task)

    until(lambda: len(done) == 40)
    assert max(most) <= 3


def test_a_crew_goes_on_after_a_task_that_fails(caplog):
    crew, done = Crew("locks-test", most=1), []
    crew.run(lambda: 1 / 0)
    crew.run(lambda: done.append(1))

    until(lambda: done)
    assert "locks-test.failed" in caplog.text


def test_threads_of_a_process_wait_in_line_and_only_the_first_asks_the_store():
    store, looks, order = MemoryStore(), [], []

    class Counting:
        def carry(self, change, deliver):
            return deliver()

        def fetch(self, reading):
            looks.append(threading.get_ident())
            return reading()

    locks, held = Locks(store), Locks(store).acquire("a")
    store.network = Counting()

    def wait(number):
        with locks.acquire("a", timeout=timedelta(seconds=30)):
            order.append(number)

    threads = []
    for number in range(5):
        threads.append(threading.Thread(target=wait, args=(number,)))
        threads[-1].start()
        until(lambda behind=number: len(locks._turns.lines.get("a", ())) == behind and "a" in locks._turns.lines)
    until(lambda: len(looks) >= 3)
    asking = set(looks)
    held.release()
    for thread in threads:
        thread.join()

    assert (1, list(range(5)), {}) == (len(asking), order, locks._turns.lines)


def test_whoever_has_no_more_time_to_stand_in_line_is_told_who_has_the_lock():
    locks = Locks(MemoryStore(), owner="ann")
    held = locks.acquire("a")
    first = threading.Thread(target=lambda: locks.acquire("a", timeout=timedelta(seconds=30)).release())
    first.start()
    until(lambda: locks._turns.lines)

    with pytest.raises(LockHeld, match="ann has it"):
        locks.acquire("a", timeout=timedelta(seconds=0.05))
    held.release()
    first.join()


def test_a_reaper_frees_by_itself_what_nobody_renews_until_it_is_stopped():
    store, heard = MemoryStore(), Heard()
    gone, watching = Locks(store, owner="gone"), Locks(store, observer=heard)
    gone.acquire("a", lease=timedelta(seconds=0.2))
    gone.keeper.forget()
    reaper = Reaper(watching, ReaperConfig(interval_seconds=0.05))
    reaper.start()
    until(lambda: watching.inspect("a").state == State.FREE)
    reaper.stop()

    until(lambda: "locks-reaper" not in {thread.name for thread in threading.enumerate()})
    assert ["gone"] == [happening.owner for happening in heard.happenings if isinstance(happening, Reaped)]
    until(lambda: [event.kind for event in watching.history("a")] == ["reaped"])
