"""What a worker fetches next: a clock that the test sets, and nobody else."""

import uuid
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from apps.jobs import registry
from apps.jobs.engine import stock as stocks
from apps.jobs.engine.stock import (
    AHEAD_MOST,
    AHEAD_SECONDS,
    ALONE_SECONDS,
    FULL_REST,
    FULL_SECONDS,
    LOOK_SECONDS,
    MOST,
    PATIENCE_SECONDS,
    RUNG_SECONDS,
    Stock,
)
from apps.jobs.transitions.fetch import HEAD, Claim

START = 1000.0


@pytest.fixture
def clock(monkeypatch):
    now = SimpleNamespace(value=START)
    monkeypatch.setattr(stocks, "time", SimpleNamespace(monotonic=lambda: now.value))
    return now


@pytest.fixture
def stock(clock):
    made = Stock()
    made.serve("q")
    return made


def rows(count, *, priority=5):
    at = datetime(2030, 1, 1, tzinfo=UTC)
    return [
        Claim(
            id=str(uuid.UUID(int=number)), fence=number, attempt=1, failures=0, rescues=0, max_attempts=5, type="t.t", payload="{}",
            queue="q", priority=priority, run_at=at + timedelta(seconds=number), timeout_seconds=60, request_id="",
        )
        for number in range(count)
    ]


def ask(stock, *, slots=2, free=2, held=0):
    return stock.next_fetch(slots=slots, free=free, held=held)


def teach(stock, seconds, *, times=200):
    for _ in range(times):
        stock.ended("a.type", seconds)


def test_a_new_line_is_looked_at_from_its_head(stock):
    asked = ask(stock)

    assert ("q", HEAD) == (asked.line.queue, asked.after)


def test_one_fetch_at_a_time(stock):
    ask(stock)

    assert None is ask(stock)


def test_a_line_that_has_more_goes_on_behind_its_position_while_a_look_from_its_head_takes_too_long(stock, clock):
    line = stock.lines["q"]
    line.busy, line.rung, line.position = True, False, rows(1)[0].position
    heads = 0
    until = clock.value + 600
    while clock.value < until:
        asked = ask(stock)
        if asked is None:
            clock.value += 0.05
        elif asked.after is HEAD:
            heads += 1
            clock.value += 5
            stock.cancelled(asked)
        else:
            clock.value += 0.5
            stock.answered(asked, rows(asked.limit))
            stock.rows.clear()
            behind = asked

    assert HEAD is not behind.after
    assert 0 < heads <= 600 / (FULL_REST * 5) + 6   # the first few come sooner: once is no habit


def test_one_stall_of_the_database_has_no_line_rest_for_long(stock, clock):
    first = ask(stock)
    clock.value += 8
    stock.cancelled(first)
    clock.value += 1.1
    first.line.rung = True

    assert first.line is ask(stock).line


def test_a_line_whose_fetch_took_too_long_rests_for_some_times_as_long_and_others_do_not(stock, clock):
    stock.lines["q"].full_seconds = 5.0
    first = ask(stock)
    clock.value += 5
    stock.cancelled(first)
    first.line.rung = True
    stock.serve("other")
    other = ask(stock)
    stock.answered(other, [])
    resting = ask(stock)
    clock.value += FULL_REST * 5 + 0.1
    again = ask(stock)

    assert ("other", None, first.line) == (other.line.queue, resting, again.line)


def test_after_a_short_fetch_from_the_head_it_waits_for_a_ring_or_for_the_next_look(stock, clock):
    stock.answered(ask(stock), [])
    quiet = ask(stock)
    clock.value += LOOK_SECONDS + 0.01
    look = ask(stock)
    stock.answered(look, [])
    stock.lines["q"].rung = True
    rung = ask(stock)

    assert None is quiet
    assert HEAD == look.after == rung.after


def test_a_full_fetch_is_followed_by_one_from_its_end_without_a_ring(stock):
    first = ask(stock)
    found = rows(first.limit)
    stock.answered(first, found)
    stock.rows.clear()
    second = ask(stock)

    assert found[-1].position == second.after


def test_a_busy_line_is_looked_at_from_the_head_each_second(stock, clock):
    first = ask(stock)
    stock.answered(first, rows(first.limit))
    stock.rows.clear()
    clock.value += FULL_SECONDS + 0.01

    assert HEAD == ask(stock).after


def test_looks_from_the_head_that_take_long_are_made_seldom(stock, clock):
    """A transaction that holds back vacuum makes each of them read what has left the queue since."""
    for _ in range(5):   # once is no habit: the database may have stalled
        asked = ask(stock)
        clock.value += 2.0
        stock.answered(asked, rows(asked.limit))
        stock.rows.clear()
        clock.value += FULL_REST * 2.0 + 1.0
    asked = ask(stock)
    clock.value += 2.0
    stock.answered(asked, rows(asked.limit))
    after = []
    for _ in range(2):
        stock.rows.clear()
        clock.value += FULL_REST * 2.0 / 2
        asked = ask(stock)
        after.append(asked.after is HEAD)
        stock.answered(asked, rows(asked.limit))

    assert [False, True] == after


def test_a_ring_makes_a_busy_line_look_at_the_head_sooner_but_not_each_time(stock, clock):
    first = ask(stock)
    stock.answered(first, rows(first.limit))
    stock.rows.clear()
    stock.lines["q"].rung = True
    soon = ask(stock)
    stock.answered(soon, rows(soon.limit))
    stock.rows.clear()
    clock.value += RUNG_SECONDS + 0.01
    later = ask(stock)

    assert HEAD != soon.after
    assert HEAD == later.after


def test_a_ring_that_came_while_a_fetch_was_under_way_is_not_forgotten(stock):
    asked = ask(stock)
    stock.lines["q"].rung = True   # the row may have been committed after the fetch had begun
    stock.answered(asked, [])

    assert None is not ask(stock)


def test_a_short_fetch_behind_a_position_is_followed_by_a_look_at_the_head(stock, clock):
    first = ask(stock)
    stock.answered(first, rows(first.limit))
    stock.rows.clear()
    behind = ask(stock)
    stock.answered(behind, [])
    clock.value += RUNG_SECONDS + 0.01
    again = ask(stock)

    assert HEAD != behind.after
    assert HEAD == again.after


def test_queues_take_turns(stock, clock):
    stock.serve("other")
    order = []
    for _ in range(6):
        clock.value += 0.01
        asked = ask(stock)
        order.append(asked.line.queue)
        stock.answered(asked, rows(asked.limit))
        stock.rows.clear()

    assert ["q", "other"] * 3 in (order, order[1:] + order[:1])


def test_nothing_is_claimed_ahead_of_long_jobs(stock):
    teach(stock, 20.0)

    assert 0 == stock.target(slots=2, free=0)
    assert 2 == stock.target(slots=2, free=2)


def test_short_jobs_are_claimed_ahead_by_what_they_take(stock):
    teach(stock, 0.005)

    assert 2 * 10 == pytest.approx(stock.target(slots=2, free=0), abs=2)


def test_however_short_they_are_a_slot_has_no_more_than_a_few_hand_overs_ahead(stock):
    teach(stock, 0.00001)

    assert 2 * AHEAD_MOST == stock.target(slots=2, free=0)


def test_fewer_are_claimed_ahead_of_jobs_that_travel_alone(stock):
    """Hundreds of them would last a second, and an urgent one would wait behind them."""
    for _ in range(200):
        stock.ended("a.type", 0.00001, alone=True)

    assert stock.target(slots=1, free=0) <= AHEAD_SECONDS / ALONE_SECONDS


def test_the_round_trip_is_added_to_what_is_claimed_ahead(stock, clock):
    teach(stock, 0.005)
    before = stock.target(slots=1, free=0)
    asked = ask(stock)
    clock.value += 0.5
    stock.answered(asked, [])

    assert stock.target(slots=1, free=0) > before


def test_no_fetch_is_larger_than_the_most(stock):
    teach(stock, 0.00001)

    assert MOST == ask(stock, slots=64, free=64).limit


def test_half_of_the_target_must_be_missing_because_large_fetches_are_cheap(stock):
    teach(stock, 0.005)
    target = stock.target(slots=2, free=0)

    assert None is ask(stock, free=0, held=target // 2 + 1)
    assert target - target // 2 == ask(stock, free=0, held=target // 2).limit


def test_full_slots_without_an_ending_are_stuck_and_claim_nothing(stock, clock):
    teach(stock, 0.005)
    clock.value += PATIENCE_SECONDS + 0.01

    assert (True, False) == (stock.stuck(free=0), stock.stuck(free=1))
    assert 0 == stock.target(slots=2, free=0)
    assert None is ask(stock, free=0)
    stock.ended("a.type", 0.005)
    assert False is stock.stuck(free=0)


def test_removed_rows_are_not_begun(stock):
    found = rows(4)
    stock.rows.extend(found)
    stock.remove({found[0].id, found[2].id})

    assert [found[1], found[3]] == list(stock.rows)


def test_serving_a_queue_twice_keeps_its_line(stock):
    line = stock.lines["q"]
    stock.serve("q")

    assert line is stock.lines["q"]


@pytest.fixture
def known(monkeypatch):
    """The type of `rows`, whose `batch` the test may set."""
    made = SimpleNamespace(batch=100)
    monkeypatch.setattr(registry, "find", lambda name: made)
    return made


def numbers(claims):
    return [claim.fence for claim in claims]


def test_short_jobs_of_one_type_are_taken_together_as_far_as_their_time_goes(stock, known):
    stock.rows.extend(rows(60))
    stock.ended("t.t", 0.002)

    assert list(range(25)) == numbers(stock.take(1, together=True))
    assert list(range(25, 60)) == numbers(stock.rows)


def test_what_nobody_has_measured_is_taken_alone(stock, known):
    stock.rows.extend(rows(9))
    stock.ended("t.t", 0.0)   # killed: nobody knows how long it would have taken

    assert [0] == numbers(stock.take(1, together=True))


@pytest.mark.parametrize(("together", "batch", "expected"), [(False, 100, 1), (True, 1, 1), (True, 3, 3), (True, 100, 5)])
def test_no_more_are_taken_than_the_type_wants_and_than_is_fair_to_the_other_slots(stock, known, together, batch, expected):
    known.batch = batch
    stock.rows.extend(rows(10))
    stock.ended("t.t", 0.0005)

    assert expected == len(stock.take(2, together=together))


def test_what_ran_when_a_process_died_travels_with_nobody(stock, known):
    first, second, third, other = rows(4)
    stock.rows.extend([first, second._replace(rescues=1), other._replace(type="o.o"), third])
    stock.ended("t.t", 0.0005)

    assert [0, 2] == numbers(stock.take(1, together=True))
    assert [1] == numbers(stock.take(1, together=True))
    assert [3] == numbers(stock.rows)
