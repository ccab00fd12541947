"""What one attempt becomes, in the process that runs it: no worker, but the real database for what touches a row."""

import json
import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pydantic
import pytest
import structlog

from apps.jobs import Cancel, Discard, Exponential, Fixed, NoRetry, Retry, Snooze
from apps.jobs.engine import runner
from apps.jobs.engine.board import Word
from apps.jobs.engine.context import Assignment
from apps.jobs.errors import Cancelled, DeadlineExceeded, Fenced, LeaseLost, UnstorableResult
from apps.jobs.lifecycle import AttemptOutcome
from core import clock
from tests.support import factories

TYPE = "runner.test"


def assignment(**changes):
    plain = {
        "id": "00000000-0000-0000-0000-000000000001", "fence": 7, "attempt": 1, "failures": 0, "type": TYPE, "payload": "{}",
        "timeout_seconds": 60.0, "request_id": "", "place": 0,
    }
    return Assignment(**{**plain, **changes})


def run(handler, board, *, work=None, **options):
    """Run a handler as an attempt; its report."""
    with factories.registered(TYPE, handler=handler, **options):
        return runner.run(work or assignment(), board)


def test_a_handler_does_not_begin_before_its_moment(board):
    moment = time.monotonic() + 0.05
    began = {}

    for name, not_before in (("early", moment), ("ready", None)):
        run(lambda job, payload, name=name: began.setdefault(name, time.monotonic()) and None, board,
            work=assignment(not_before=not_before))

    assert moment <= began["early"]


def raising(error):
    def handler(job, payload):
        raise error

    return handler


@pytest.mark.parametrize(("value", "outcome", "fields"), [
    ({"a": 1}, AttemptOutcome.COMPLETED, {"result": '{"a":1}'}),
    (None, AttemptOutcome.COMPLETED, {"result": None}),
    (Retry(after=timedelta(seconds=9)), AttemptOutcome.FAILED, {"delay_seconds": 9.0}),
    (Retry(after=timedelta(seconds=-9)), AttemptOutcome.FAILED, {"delay_seconds": 0.0}),
    (Retry(), AttemptOutcome.FAILED, {"delay_seconds": 4.0}),
    (Snooze(timedelta(minutes=1)), AttemptOutcome.SNOOZED, {"delay_seconds": 60.0}),
    (Snooze(timedelta(seconds=-1)), AttemptOutcome.SNOOZED, {"delay_seconds": 0.0}),
    (Snooze(until=datetime(2030, 1, 1, tzinfo=UTC)), AttemptOutcome.SNOOZED, {"until": datetime(2030, 1, 1, tzinfo=UTC)}),
    (Cancel("why"), AttemptOutcome.CANCELLED, {}),
    (Discard("why"), AttemptOutcome.DISCARDED, {}),
])
def test_what_is_returned_becomes_an_ending_under_the_fence(board, value, outcome, fields):
    report = run(lambda job, payload: value, board, retry=Fixed(seconds=4))

    ending = report.ending
    assert ("00000000-0000-0000-0000-000000000001", 7, outcome, None) == (ending.id, ending.fence, ending.outcome, report.error)
    assert fields == {name: getattr(ending, name) for name in fields}


@pytest.mark.parametrize(("value", "name"), [
    (Retry(), "Retry"), (Retry(timedelta(1), "busy", "HttpStatus"), "HttpStatus"), (Retry(error="TimedOut"), "TimedOut"),
    (Discard("why"), "Discard"), (Discard("why", error="NotFound"), "NotFound"), (Cancel("why"), "Cancel"),
])
def test_an_error_has_the_name_that_its_outcome_gives_it(board, value, name):
    assert name == json.loads(run(lambda job, payload: value, board).ending.error)["class"]


@pytest.mark.parametrize("value", [
    Retry(reason="r" * 5_000, error="E" * 300), Discard("r" * 5_000, error="E" * 300), Cancel("r" * 5_000),
])
def test_a_long_reason_is_cut_and_so_is_a_long_name(board, value):
    error = json.loads(run(lambda job, payload: value, board).ending.error)

    assert ("r" * 4 * 1024, "") == (error["message"], error["traceback"])
    assert ("Cancel" if isinstance(value, Cancel) else "E" * 200) == error["class"]


@pytest.mark.parametrize(("error", "outcome"), [
    (ValueError("x"), AttemptOutcome.FAILED),
    (KeyboardInterrupt(), AttemptOutcome.FAILED),
    (GeneratorExit(), AttemptOutcome.FAILED),
    (SystemExit(3), AttemptOutcome.FAILED),
    (MemoryError(), AttemptOutcome.FAILED),
    (UnstorableResult("x"), AttemptOutcome.FAILED),
    (Fenced("id", fence=7), AttemptOutcome.FAILED),
    (Cancelled("id"), AttemptOutcome.CANCELLED),
    (LeaseLost("id"), AttemptOutcome.STOPPED),
    (DeadlineExceeded("id", timeout_seconds=1), AttemptOutcome.TIMED_OUT),
])
def test_what_is_raised_becomes_an_ending(board, error, outcome):
    report = run(raising(error), board)

    assert outcome == report.ending.outcome
    assert report.error is None or isinstance(report.error, Exception)


def test_the_process_that_is_being_ended_reports_nothing(board, monkeypatch):
    monkeypatch.setattr(runner, "terminate_handler_fired", lambda: True)

    with pytest.raises(SystemExit):
        run(raising(SystemExit(0)), board)


def test_the_policy_is_asked_with_the_failures_so_far_and_the_error(board):
    class Policy:
        asked = ()

        def delay_seconds(self, failures, error=None):
            self.asked = (failures, error)
            return 3.0

    policy, error = Policy(), ValueError("x")
    report = run(raising(error), board, work=assignment(failures=2), retry=policy)

    assert (3, error) == policy.asked
    assert 3.0 == report.ending.delay_seconds


@pytest.mark.parametrize("policy", [NoRetry(), Exponential(never=(ValueError,)), Fixed(seconds=1, never=(ValueError,))])
def test_an_error_after_which_the_policy_gives_up_has_no_delay(board, policy):
    assert None is run(raising(ValueError("x")), board, retry=policy).ending.delay_seconds


@pytest.mark.parametrize("answer", [float("nan"), float("inf"), "3", timedelta(seconds=3), ZeroDivisionError()])
def test_a_policy_that_is_wrong_is_replaced_by_the_default(board, answer):
    class Policy:
        def delay_seconds(self, failures, error=None):
            if isinstance(answer, Exception):
                raise answer
            return answer

    report = run(raising(ValueError("x")), board, retry=Policy())

    assert AttemptOutcome.FAILED == report.ending.outcome
    assert 1.6 <= report.ending.delay_seconds <= 2.4


def test_a_policy_that_answers_the_past_means_now(board):
    assert 0.0 == run(lambda job, payload: Retry(), board, retry=SimpleNamespace(delay_seconds=lambda *_: -5)).ending.delay_seconds


def test_a_result_that_cannot_be_stored_is_not_tried_again(board):
    report = run(lambda job, payload: {1, 2}, board, retry=Fixed(seconds=1))

    assert (AttemptOutcome.FAILED, None) == (report.ending.outcome, report.ending.delay_seconds)


def test_a_payload_that_the_model_refuses_is_discarded_without_the_handler(board):
    class Payload(pydantic.BaseModel):
        number: int

    called = []
    report = run(lambda job, payload: called.append(1), board, payload=Payload)

    assert (AttemptOutcome.DISCARDED, []) == (report.ending.outcome, called)


def test_an_attempt_under_a_lease_that_has_ended_is_given_back_without_the_handler(board):
    called = []
    board.trust_until(clock.elapsed() - 1)
    report = run(lambda job, payload: called.append(1), board)

    assert (AttemptOutcome.RELEASED, []) == (report.ending.outcome, called)


@pytest.mark.parametrize(("life", "outcome"), [(1, AttemptOutcome.RELEASED), (2, AttemptOutcome.COMPLETED)])
def test_the_lease_of_a_workers_next_life_does_not_cover_what_it_claimed_in_the_last(board, life, outcome):
    called = []
    board.live(2)
    board.trust_until(clock.elapsed() + 60)
    report = run(lambda job, payload: called.append(1), board, work=assignment(life=life))

    assert (outcome, outcome is AttemptOutcome.COMPLETED) == (report.ending.outcome, bool(called))


@pytest.mark.parametrize("word", [Word.CANCEL, Word.LOST, Word.TIMED_OUT])
def test_a_job_to_which_something_was_said_before_it_began_does_not_begin(board, word):
    called = []
    place = board.take()
    board.say(place, word)
    report = run(lambda job, payload: called.append(1), board, work=assignment(place=place))

    assert (AttemptOutcome.RELEASED, []) == (report.ending.outcome, called)


def test_the_handler_gets_its_payload_as_the_model(board):
    class Payload(pydantic.BaseModel):
        number: int = 4

    assert '"int"' == run(lambda job, payload: type(payload.number).__name__, board, payload=Payload).ending.result


def test_the_end_says_how_long_it_ran(board):
    assert 0 < run(lambda job, payload: None, board).ending.seconds < 60


def test_what_is_bound_to_the_log_is_unbound_afterwards(board):
    seen = {}
    run(lambda job, payload: seen.update(structlog.contextvars.get_contextvars()), board, work=assignment(request_id="r-1"))

    expected = {"job_id": assignment().id, "type": TYPE, "attempt": 1, "fence": 7, "request_id": "r-1"}
    assert expected == seen
    assert {} == structlog.contextvars.get_contextvars()


def test_a_type_without_results_stores_none_of_what_its_handler_returns(board):
    kept, left = (run(lambda job, payload: {"large": 1}, board, result=result).ending for result in (True, False))

    assert ('{"large":1}', None) == (kept.result, left.result)
    assert [AttemptOutcome.COMPLETED] * 2 == [kept.outcome, left.outcome]
