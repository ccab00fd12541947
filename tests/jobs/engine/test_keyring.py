"""What becomes of a claim whose lock is busy, as the loop thread decides it: with a locker that the test answers for."""

from collections import deque
from itertools import pairwise
from types import SimpleNamespace

import pytest

from apps.jobs.conf import Config
from apps.jobs.engine import keyring as keyrings
from apps.jobs.engine import own_lock as own_locks
from apps.jobs.engine.bookkeeper import Bookkeeper, Holding
from apps.jobs.engine.keyring import BRIEF, SLOW_SECONDS, UNCOUNTED, Held
from apps.jobs.engine.locker import Busy, Granted, Released, Untold
from apps.jobs.engine.own_lock import OwnLock
from apps.jobs.lifecycle import AttemptOutcome
from tests.jobs.engine.test_stock import rows
from tests.support.factories import TYPE, registered


class Asked:
    """Stands for the threads: it keeps what they are asked to do."""

    def __init__(self):
        self.wanted, self.released, self.nudged, self.news = [], [], [], deque()

    def acquire(self, wanted):
        self.wanted.append(wanted)

    def release(self, lease, *, key):
        self.released.append((lease, key))

    def nudge(self, wanted):
        self.nudged.append(wanted.name)


@pytest.fixture
def clock(monkeypatch):
    now = SimpleNamespace(value=1000.0)
    monkeypatch.setattr(keyrings, "time", SimpleNamespace(monotonic=lambda: now.value))
    return now


@pytest.fixture
def book(clock):
    """A bookkeeper whose timers never fire, as after a lost connection to the broker."""
    made = Bookkeeper(Config(guard="job"))
    made.hub = SimpleNamespace(call_later=lambda *_: None)
    made.keys.locker = Asked()
    return made


def claimed(book, *, key="k:7", payload='{"n": 7}', number=1):
    claim = rows(number + 1)[number]._replace(type=TYPE, lock_key=key, payload=payload)
    book.holdings[claim.id] = Holding(claim, since=0.0)
    book.keys.begin([claim])
    return claim


def answer(book, said):
    """Say what became of the latest question."""
    book.keys.locker.news.append(said(book.keys.locker.wanted[-1]))
    book.keys.take()


def busy(*, by_job, free_in_seconds=3.0):
    return lambda wanted: Busy(wanted, "somebody has it", free_in_seconds, by_job=by_job)


def endings(book):
    return [ending.outcome for ending in book.ledger.endings]


@pytest.fixture(params=["snooze", "discard"])
def kind(request):
    with registered(lock="k:{n}", on_busy=request.param):
        yield request.param


def test_a_lock_that_another_job_has_is_asked_for_again_before_the_job_is_put_off(book, clock, kind):
    """Its holder is mostly just giving it back; and a job is put away for somebody who is no job, never for one."""
    claimed(book)
    for number in range(BRIEF):
        answer(book, busy(by_job=True))
        assert ([], number + 1) == (endings(book), len(book.keys.locker.wanted))
        clock.value += 1.0
        book.keys.tick()
    answer(book, busy(by_job=True))

    assert [AttemptOutcome.LOCK_BUSY] == endings(book)
    assert BRIEF + 1 == len(book.keys.locker.wanted)


def test_a_lock_that_somebody_else_has_puts_the_job_off_or_away_at_once(book, kind):
    claimed(book)
    answer(book, busy(by_job=False))

    assert [{"snooze": AttemptOutcome.LOCK_BUSY, "discard": AttemptOutcome.DISCARDED}[kind]] == endings(book)


def test_who_waits_here_asks_again_although_all_timers_were_forgotten(book, clock):
    with registered(lock="k:{n}", on_busy="wait"):
        claimed(book)
        answer(book, busy(by_job=False))
        book.keys.tick()
        before = len(book.keys.locker.wanted)
        clock.value += 1.0
        book.keys.tick()

    assert (1, 2) == (before, len(book.keys.locker.wanted))


def test_a_job_that_came_back_while_it_had_waited_here_before_is_not_forgotten(book, clock):
    """Its first claim's moment comes after its second one's question."""
    with registered(lock="k:{n}", on_busy="wait"):
        claim = claimed(book)
        answer(book, busy(by_job=False))
        holding = book.holdings.pop(claim.id)
        book.keys.over(holding, AttemptOutcome.RELEASED)
        again = claim._replace(fence=99)
        book.holdings[claim.id] = Holding(again, since=0.0)
        book.keys.begin([again])
        answer(book, busy(by_job=False))
        for _ in range(3):
            clock.value += 0.3
            book.keys.tick()

    assert [1, 99, 99] == [wanted.claim.fence for wanted in book.keys.locker.wanted]


def test_a_holder_that_may_be_dead_is_looked_after_once_however_often_its_lock_was_found_busy(book, clock):
    with registered(lock="k:{n}"):
        for number in range(1, 4):
            claimed(book, number=number)
            answer(book, busy(by_job=False, free_in_seconds=10.0))
        clock.value += 9.0
        book.keys.tick()
        before = list(book.keys.locker.nudged)
        clock.value += 2.0
        book.keys.tick()

    assert ([], ["k:7"]) == (before, book.keys.locker.nudged)


def test_a_job_that_was_stored_before_its_type_had_a_lock_asks_for_it(book):
    with registered(lock="k:{n}"):
        claimed(book, key=None)

    assert ["k:7"] == [wanted.name for wanted in book.keys.locker.wanted]


def test_such_a_job_that_names_no_lock_is_put_away_and_does_not_run_without_one(book):
    with registered(lock="k:{n}"):
        claimed(book, key=None, payload='{"m": 7}')

    assert [AttemptOutcome.DISCARDED] == endings(book)
    assert "is named after it" in book.ledger.endings[0].error
    assert [] == book.keys.locker.wanted


def test_a_lock_is_kept_for_a_handler_that_runs_on_in_a_thread_after_its_job_was_ended(book):
    book.threads = True
    with registered(lock="k:{n}"):
        claim = claimed(book)
    request = SimpleNamespace(gone=False)
    book.keys.held[claim.id] = Held(claim, lease="the lease")
    book.keys.over(Holding(claim, 0.0, attempt=SimpleNamespace(request=request)), AttemptOutcome.TIMED_OUT)
    book.keys.tick()
    before = list(book.keys.locker.released)
    request.gone = True
    book.keys.tick()
    book.keys.tick()

    assert ([], [("the lease", "k:7")]) == (before, book.keys.locker.released)


@pytest.mark.parametrize(("threads", "outcome"), [
    (True, AttemptOutcome.COMPLETED), (True, AttemptOutcome.FAILED), (False, AttemptOutcome.TIMED_OUT),
])
def test_a_lock_is_given_back_with_its_job_where_nothing_runs_on(book, threads, outcome):
    book.threads = threads
    with registered(lock="k:{n}"):
        claim = claimed(book)
    book.keys.held[claim.id] = Held(claim, lease="the lease")
    book.keys.over(Holding(claim, 0.0, attempt=SimpleNamespace(request=SimpleNamespace(gone=False))), outcome)

    assert [("the lease", "k:7")] == book.keys.locker.released


def test_the_place_of_a_key_is_passed_on_once_its_lock_was_given_back(book):
    book.keys._releasing = 1
    book.keys.locker.news.append(Released("k:7"))
    book.keys.take()

    assert ["k:7"] == list(book.ledger.keys)


def test_a_store_that_does_not_answer_keeps_nobody_from_fetching_and_is_asked_no_more(book, clock):
    """Else jobs without a lock would wait until the first question was given up."""
    with registered(lock="k:{n}"):
        for number in range(1, UNCOUNTED + 6):
            claimed(book, number=number, key=f"k:{number}")
        before = (book.keys.ahead(), len(book.keys.locker.wanted), endings(book))
        clock.value += 2 * SLOW_SECONDS
        claimed(book, number=99, key="k:99")

    assert (5, UNCOUNTED + 5, []) == before
    assert (0, UNCOUNTED + 5, [AttemptOutcome.LOCK_BUSY]) == (book.keys.ahead(), len(book.keys.locker.wanted), endings(book))
    assert "has not answered for 1.0 s" in book.ledger.endings[0].error


def test_a_store_that_answers_slowly_is_asked_on(book, clock):
    with registered(lock="k:{n}"):
        for number in range(1, UNCOUNTED + 6):
            claimed(book, number=number, key=f"k:{number}")
        for _ in range(3):
            clock.value += 0.8 * SLOW_SECONDS
            answer(book, busy(by_job=False))
        claimed(book, number=99, key="k:99")

    assert "k:99" == book.keys.locker.wanted[-1].name
    assert book.keys.ahead() > 0


def test_while_the_store_is_away_one_question_at_a_time_is_asked(book):
    with registered(lock="k:{n}"):
        claimed(book, number=1)
        answer(book, lambda wanted: Untold(wanted, "nobody is there", away=True))
        for number in range(2, 5):
            claimed(book, number=number)

    assert [1, 2] == [wanted.claim.fence for wanted in book.keys.locker.wanted]
    assert [AttemptOutcome.LOCK_BUSY] * 3 == endings(book)


@pytest.mark.parametrize(("asked_meanwhile", "expected"), [(True, 60.0), (False, 5.0)])
def test_a_time_in_which_nobody_needed_a_lock_is_no_outage(book, clock, monkeypatch, asked_meanwhile, expected):
    """Else the first jobs after it, all but the one that asks, wait for up to a minute for a store that has long been back."""
    monkeypatch.setattr(keyrings, "random", SimpleNamespace(uniform=lambda _low, _high: 1.0))
    with registered(lock="k:{n}"):
        for passing in (0.0, 5.0, 300.0 if asked_meanwhile else 0.0):
            clock.value += passing
            claimed(book, number=len(book.keys.locker.wanted) + 1)
            answer(book, lambda wanted: Untold(wanted, "no node is up", away=True))
        clock.value += 0.0 if asked_meanwhile else 300.0
        claimed(book, number=5)      # asks
        claimed(book, number=6)      # is put off meanwhile

    assert (4, expected) == (len(book.keys.locker.wanted), book.ledger.endings[-1].delay_seconds)


def test_the_workers_own_lock_is_asked_for_less_often_the_longer_the_store_is_away(clock, monkeypatch):
    monkeypatch.setattr(own_locks, "time", SimpleNamespace(monotonic=lambda: clock.value))
    book, locker = Bookkeeper(Config(guard="worker")), Asked()
    book.ledger.started = SimpleNamespace(id="1", name="w1@host")
    own = OwnLock(book, locker)
    own.start()
    asked_at = []
    for _ in range(600):
        if len(locker.wanted) > len(asked_at):
            asked_at.append(clock.value)
            own.heard(Untold(locker.wanted[-1], "nobody is there", away=True))
        clock.value += 0.5
        own.tick()
    pauses = [after - before for before, after in pairwise(asked_at)]

    assert pauses[0] <= 2.0
    assert 15.0 <= pauses[-1] <= 45.5
    assert book.ledger.guard_token is None


def test_the_lock_of_a_workers_earlier_start_is_given_back_whenever_its_answer_comes():
    """The threads answer in any order: its token would stand on claims of another start, and it would be renewed for ever."""
    book, locker = Bookkeeper(Config(guard="worker")), Asked()
    own = OwnLock(book, locker)
    for start in ("1", "2"):
        own.take_away()
        book.ledger.started = SimpleNamespace(id=start, name="w@host")
        own.start()
    earlier, present = (SimpleNamespace(token=token) for token in (100, 200))
    unwanted = [own.heard(Granted(wanted, lease)) for wanted, lease in zip(reversed(locker.wanted), (present, earlier), strict=True)]
    own.heard(Untold(locker.wanted[0], "a question of the earlier start", away=True))

    assert (200, [None, earlier]) == (book.ledger.guard_token, unwanted)
    assert present is own.take_away()


def test_an_unwanted_lock_is_given_back_and_waited_for_once():
    book = Bookkeeper(Config(guard="worker"))
    book.keys.locker = book.keys._own.locker = Asked()
    book.ledger.started = SimpleNamespace(id="1", name="w@host")
    book.keys._own.start()
    book.ledger.started = SimpleNamespace(id="2", name="w@host")
    lease = SimpleNamespace(token=1)
    pending = []
    for said in (Granted(book.keys.locker.wanted[0], lease), Released(None)):
        book.keys.locker.news.append(said)
        book.keys.take()
        pending.append(book.keys.pending())

    assert [(lease, None)] == book.keys.locker.released
    assert [True, False] == pending


def test_the_workers_own_lock_that_comes_while_it_stops_is_given_back():
    book, locker = Bookkeeper(Config(guard="worker")), Asked()
    book.ledger.started = SimpleNamespace(id="1", name="w@host")
    own = OwnLock(book, locker)
    own.start()
    book.draining = True
    lease = SimpleNamespace(token=1)

    assert lease is own.heard(Granted(locker.wanted[0], lease))
    assert None is book.ledger.guard_token
