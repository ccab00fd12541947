"""A hand-over of several jobs as the main process holds it: what is settled, what goes back, and its tray once."""

import gc
import weakref
from types import SimpleNamespace

import pytest
from celery.exceptions import TaskRevokedError
from celery.worker.request import Request

from apps.jobs.engine import request as requests
from apps.jobs.engine.attempt import Attempt
from apps.jobs.engine.board import Board
from apps.jobs.engine.poolside import _packed
from apps.jobs.engine.request import JobRequest, Message, TogetherRequest
from apps.jobs.engine.tray import Trays
from apps.jobs.lifecycle import AttemptOutcome
from apps.jobs.transitions.settle import Ending
from config.celery import app
from core import clock
from tests.jobs.engine.test_stock import rows


class Book:
    """Notes what it is told."""

    threads, pool, keys = False, None, None

    def __init__(self):
        self.settled, self.restocked, self.returned, self.freed_requests = {}, [], [], []
        self.unsettled = set()

    def settle(self, attempt, ending):
        self.settled[attempt.claim.fence] = ending.outcome

    def restock(self, claims):
        self.restocked += [claim.fence for claim in claims]

    def give_back_claims(self, claims):
        self.returned += [claim.fence for claim in claims]

    def freed(self, request):
        self.freed_requests.append(request)

    def holds(self, _job_id, fence):
        return fence in self.unsettled


@pytest.fixture
def lent(monkeypatch):
    trays, board = Trays(count=2), Board()
    board.trust_until(clock.elapsed() + 60)
    monkeypatch.setattr(requests, "TRAYS", trays)
    monkeypatch.setattr(requests, "BOARD", board)
    return trays


@pytest.fixture
def made(lent):
    return of(TogetherRequest, Message(rows(5)))


def of(base, message):
    """Return a request as Celery's handler makes it."""
    kind = type("Ours", (base, Request), {"book": Book()})
    task = SimpleNamespace(
        ignore_result=True, acks_late=False, send_events=False, soft_time_limit=None, time_limit=None, request_stack=None,
        backend=SimpleNamespace(mark_as_revoked=lambda *_, **__: None), name=message.task,
    )
    return kind(
        message, app=app, hostname="h", task=task, headers=message.headers, decoded=True, body=message.payload,
        on_ack=Message.done, on_reject=Message.done,
    )


def run(request, count):
    """Do what a child does with so many of its jobs."""
    request.tray.open()
    for number, attempt in enumerate(request.attempts[:count]):
        request.tray.begin(number)
        request.tray.end(_packed(Ending(
            id=attempt.claim.id, fence=attempt.claim.fence, outcome=AttemptOutcome.COMPLETED, seconds=0.001,
        )))


def test_a_hand_over_that_is_over_twice_returns_its_tray_once(made, lent):
    made.returned()
    made.returned()
    numbers = {lent.get(), lent.get()}

    assert {0, 1} == numbers
    assert [made] == made.book.freed_requests


def test_a_tray_is_not_used_again_before_what_was_told_in_it_is_settled(made, lent):
    book, used = made.book, made.tray_number
    run(made, 3)
    book.unsettled = {made.attempts[2].claim.fence}
    made._told(None)
    made.returned()
    other = lent.get()
    lent.put(other, needed=lambda: False)
    again = lent.get()
    book.unsettled.clear()

    assert (other, used) == (again, lent.get())
    assert other != used


class Result:
    """As the pool's: it knows what to call when the request has ended."""

    def __init__(self, callback):
        self.callback = callback


def attempts():
    return sum(type(each) is Attempt for each in gc.get_objects())


def test_what_is_over_is_gone_at_once_and_waits_for_no_collection(made):
    result = Result(made.on_success)
    known, made.handle, before = weakref.ref(result), result, attempts()
    del result
    run(made, 5)
    gc.disable()
    try:
        made._told(None)
        made.returned()
        left = attempts()
    finally:
        gc.enable()

    assert [AttemptOutcome.COMPLETED] * 5 == list(made.book.settled.values())
    assert (before - 5, None) == (left, known())


@pytest.mark.parametrize(("base", "count"), [(JobRequest, 1), (TogetherRequest, 5)])
def test_whoever_comes_when_it_is_over_and_gone_changes_nothing(lent, base, count):
    """In a pool of threads its end may come at any moment; a child may answer what was given up before it was written."""
    request = of(base, Message(rows(count)))
    request.end(AttemptOutcome.RELEASED)
    before = dict(request.book.settled)
    request.returned()
    other = of(TogetherRequest, Message(rows(5)))   # which may have the same tray
    run(other, 3)
    late = Ending(id="1", fence=1, outcome=AttemptOutcome.COMPLETED)
    request.enforce_deadline()
    request.sweep()
    request._told(late if count == 1 else None)
    request._broke(RuntimeError())

    assert before == request.book.settled
    assert [] == request.book.restocked


def test_what_was_given_back_while_it_waited_for_a_slot_is_not_given_to_the_pool(made):
    for attempt in made.attempts[1:3]:
        attempt.end(AttemptOutcome.RELEASED)
    made.execute_using_pool(SimpleNamespace(apply_async=lambda *_, **__: None))
    given = [fence for _, fence, *_ in made.request_dict["jobs"][1]]

    assert [0, 3, 4] == given
    assert [True, True, True, False] == [made.tray.begin(number) for number in range(4)]


def test_a_hand_over_that_was_given_back_whole_never_reaches_the_pool(made, lent):
    made.end(AttemptOutcome.RELEASED)
    with pytest.raises(TaskRevokedError):
        made.execute_using_pool(None)

    assert {0, 1} == {lent.get(), lent.get()}


def test_a_revoke_in_celery_cancels_what_runs_and_nothing_else(made):
    run(made, 2)
    made.tray.begin(2)
    made._revoke()

    completed, cancelled = AttemptOutcome.COMPLETED, AttemptOutcome.CANCELLED
    assert {0: completed, 1: completed, 2: cancelled} == made.book.settled
    assert [3, 4] == made.book.restocked


def test_a_stop_believes_what_has_ended_and_lets_nothing_more_begin(made):
    run(made, 2)
    made.tray.begin(2)
    made.stop()

    completed, stopped = AttemptOutcome.COMPLETED, AttemptOutcome.STOPPED
    assert {0: completed, 1: completed, 2: stopped} == made.book.settled
    assert [3, 4] == made.book.restocked
    assert False is made.tray.begin(3)


def test_a_process_is_ended_only_for_what_it_runs_and_begins_nothing_meanwhile(made, monkeypatch):
    ended = []
    monkeypatch.setattr(type(made), "terminate", lambda self, pool, number: ended.append(number), raising=False)
    run(made, 1)
    made.tray.begin(1)
    made.kill(made.attempts[0])   # has ended
    made.kill(made.attempts[3])   # was not begun
    before = list(ended)
    made.kill(made.attempts[1])

    assert [] == before
    assert 1 == len(ended)
    assert [2, 3, 4] == made.book.restocked
    assert False is made.tray.begin(2)


def test_a_death_charges_what_ran(made):
    run(made, 2)
    made.tray.begin(2)
    made._broke(SystemExit(1))

    completed = AttemptOutcome.COMPLETED
    assert {0: completed, 1: completed, 2: AttemptOutcome.WORKER_LOST} == made.book.settled
    assert [3, 4] == made.book.restocked


def test_a_death_between_two_jobs_charges_nobody(made):
    run(made, 2)
    made._broke(SystemExit(1))

    assert {AttemptOutcome.COMPLETED} == set(made.book.settled.values())
    assert [2, 3, 4] == made.book.restocked


def test_a_hand_over_that_takes_long_lets_go_of_what_is_not_begun(made, monkeypatch):
    run(made, 2)
    made.sweep()
    early = list(made.book.returned)
    monkeypatch.setattr(requests, "SLOW_SECONDS", 0.0)
    made.sweep()

    assert ([], [2, 3, 4]) == (early, made.book.returned)


def test_the_end_of_a_thread_is_taken_in_the_loops_own_thread(made):
    """What is given back goes into the stock, which no other thread may touch."""
    later = []
    made.book.threads, made.book.hub = True, SimpleNamespace(call_soon=lambda *call: later.append(call))
    run(made, 2)
    made.on_success((False, ("", None), 0.1))
    at_once = (dict(made.book.settled), list(made.book.restocked))
    for call, *arguments in later:
        call(*arguments)

    assert ({}, []) == at_once
    assert {0, 1} == set(made.book.settled)
    assert [2, 3, 4] == made.book.restocked
