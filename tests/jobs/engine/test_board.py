"""Memory that a worker shares with its children, and the lease that nobody may believe in for too long."""

import os
import signal
import time
from threading import Thread
from types import SimpleNamespace

import pytest

from apps.jobs.conf import Config
from apps.jobs.engine import board as boards
from apps.jobs.engine import bookkeeper as bookkeepers
from apps.jobs.engine.board import PLACES, Board, Word
from apps.jobs.engine.bookkeeper import Bookkeeper, Holding
from core import clock
from tests.jobs.engine.test_stock import rows
from tests.support.waiting import until

RENEWALS = 300_000


def test_no_lease_is_believed_before_the_first_heartbeat():
    assert False is Board().trusted()


def test_a_lease_is_believed_until_its_deadline_and_not_after(monkeypatch):
    board = Board()
    board.trust_until(clock.elapsed() + 10)
    before = board.trusted()
    monkeypatch.setattr(boards, "clock", SimpleNamespace(elapsed=lambda: clock.elapsed() + 10))   # as after a suspend

    assert (True, False) == (before, board.trusted())


def test_a_lease_that_is_renewed_is_never_seen_as_ended():
    """A write that passes through zero lets a child believe for a moment that it has lost its jobs."""
    board, told = Board(), os.pipe()
    board.trust_until(clock.elapsed() + 60)
    pid = os.fork()
    if pid == 0:   # the child looks as often as it can, until the parent has ended it or it has seen what must not be
        while board.trusted():
            pass
        os.write(told[1], b"x")
        os._exit(0)
    os.close(told[1])
    for _ in range(RENEWALS):
        board.trust_until(clock.elapsed() + 60)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    seen = os.read(told[0], 1)
    os.close(told[0])

    assert b"" == seen


def test_what_is_said_after_a_fork_is_heard_in_the_child():
    board = Board()
    place = board.take()
    said, heard = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:   # the child: waits until the parent has spoken, and tells what it reads
        os.read(said[0], 1)
        os.write(heard[1], bytes([board.read(place), board.trusted()]))
        os._exit(0)
    board.say(place, Word.CANCEL)
    board.trust_until(clock.elapsed() + 60)
    os.write(said[1], b"x")
    answer = os.read(heard[0], 2)
    os.waitpid(pid, 0)
    [os.close(each) for each in (*said, *heard)]

    assert bytes([Word.CANCEL, True]) == answer


def test_a_place_that_is_taken_again_says_nothing_of_the_last():
    board = Board()
    place = board.take()
    board.say(place, Word.LOST)
    board.give(place)
    others = []
    while (taken := board.take()) != place:   # which rests for as long as it can
        others.append(taken)
        board.give(taken)

    assert PLACES - 1 == len(set(others))
    assert Word.GO_ON == board.read(place)


def test_places_do_not_overlap():
    board = Board()
    places = [board.take() for _ in range(PLACES)]
    board.say(places[7], Word.TIMED_OUT)

    assert PLACES == len(set(places))
    assert {places[7]} == {place for place in places if board.read(place) != Word.GO_ON}
    with pytest.raises(IndexError):
        board.take()


class Passing(list):
    """Lets another thread pass at each step."""

    def __getitem__(self, index):
        time.sleep(0)
        return super().__getitem__(index)

    def __setitem__(self, index, value):
        super().__setitem__(index, value)
        time.sleep(0)


def test_places_that_several_threads_give_back_are_neither_lost_nor_lent_twice(monkeypatch):
    monkeypatch.setattr(boards, "PLACES", 64)
    board = Board()
    board._free = Passing(board._free)

    def work():
        for _ in range(200):
            board.give(board.take())

    threads = [Thread(target=work) for _ in range(8)]
    [each.start() for each in threads]
    [each.join(60) for each in threads]

    assert set(range(64)) == {board.take() for _ in range(64)}


class Flight:
    """What takes a slot of the pool, with nothing in it that is still to be settled."""

    over = True


@pytest.fixture
def handing(monkeypatch):
    """Make a bookkeeper that holds three claims, with a pool of so many slots; what it hands over is noted in `begun`."""

    def made(*, slots, trusted=True):
        board = Board()
        board.trust_until(clock.elapsed() + (60 if trusted else -1))
        monkeypatch.setattr(bookkeepers, "BOARD", board)
        book = Bookkeeper(Config())
        book.pool, book.threads = SimpleNamespace(num_processes=slots), True   # a pool that has no pipes to write to
        begun, claims = [], rows(3)

        def begin(message, *_):
            begun.append(message.claims[0].id)
            book.flying.add(Flight())

        book.handlers["t.t"] = begin
        book.stock.rows.extend(claims)
        book.holdings = {claim.id: Holding(claim, 0.0) for claim in claims}
        return book, claims, begun

    return made


@pytest.mark.parametrize(("trusted", "handed"), [(True, 2), (False, 0)])
def test_a_worker_whose_lease_is_not_to_be_believed_hands_nothing_over(handing, trusted, handed):
    book, claims, begun = handing(slots=2, trusted=trusted)

    book.hand_over()

    assert [claim.id for claim in claims[:handed]] == begun
    assert 3 - handed == len(book.stock.rows)


def test_a_row_that_was_given_back_meanwhile_is_not_handed_over(handing):
    book, (kept, returned, given_back), begun = handing(slots=3)
    book.holdings[returned.id] = Holding(returned, 0.0, returning=True)
    del book.holdings[given_back.id]

    book.hand_over()

    assert [kept.id] == begun


def test_a_claim_that_is_held_back_is_handed_over_though_the_timers_were_forgotten(handing):
    book, claims, begun = handing(slots=3)
    book.stock.rows.clear()
    book.holdings.clear()
    book.hub = SimpleNamespace(call_later=lambda *_: None)
    first, second = (claim._replace(not_before=time.monotonic() + 0.02) for claim in claims[:2])

    for claim in (first, second):
        book.holdings[claim.id] = Holding(claim, 0.0)
        book._hold_back([claim])
        until(lambda claim=claim: book.tick() or claim.id in begun, timeout=5)

    assert [first.id, second.id] == begun
