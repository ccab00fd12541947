"""What one attempt becomes, in the process that runs it: no worker, but the real database for what touches a row."""

import contextlib
import json
import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pydantic
import pytest
import structlog
from django.db import DatabaseError, OperationalError, connection, transaction

from apps.jobs import Cancel, Discard, Exponential, Fixed, NoRetry, Retry, Snooze
from apps.jobs.engine import context as contexts
from apps.jobs.engine import runner
from apps.jobs.engine.board import Board, Word
from apps.jobs.engine.context import Assignment, AttemptContext
from apps.jobs.errors import Cancelled, DeadlineExceeded, Fenced, LeaseLost, UnstorableResult
from apps.jobs.lifecycle import AttemptOutcome, Status
from core import clock
from tests.support import factories
from tests.support.waiting import until

TYPE = "runner.test"


@pytest.fixture
def board():
    made = Board()
    made.trust_until(clock.elapsed() + 60)
    return made


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


# The context.


@pytest.mark.parametrize(("word", "error"), [
    (Word.CANCEL, Cancelled), (Word.LOST, LeaseLost), (Word.TIMED_OUT, DeadlineExceeded),
])
def test_check_raises_what_main_has_said(board, word, error):
    place = board.take()
    job = AttemptContext.of(assignment(place=place), board)
    job.check()
    board.say(place, word)

    with pytest.raises(error):
        job.check()


def test_check_knows_the_deadline_by_itself(board, monkeypatch):
    job = AttemptContext.of(assignment(timeout_seconds=5), board)
    job.check()
    monkeypatch.setattr(contexts, "clock", SimpleNamespace(elapsed=lambda: clock.elapsed() + 5, now=clock.now))

    with pytest.raises(DeadlineExceeded):
        job.check()


def test_a_step_key_is_the_same_in_every_attempt(board):
    first, second = (AttemptContext.of(assignment(attempt=number, fence=number), board) for number in (1, 2))

    assert first.step_key("charge") == second.step_key("charge")
    assert first.step_key("charge") != first.step_key("ship")


@pytest.fixture
def held(db, board):
    """A claimed job, and its context."""
    job_id = factories.job()
    claim = factories.claim_this(job_id, factories.worker())
    return AttemptContext.of(assignment(id=str(job_id), fence=claim.fence), board)


def test_a_transaction_completes_the_job_with_the_commit_and_not_before(held):
    with held.transaction() as tx:
        tx.complete({"a": 1})
        with factories.own_connection("other") as other:
            inside = other.execute("SELECT status FROM job WHERE id = %s", [held.id]).fetchone()
        inside_completed = held.completed

    row = factories.row(held.id)
    assert ("running", False) == (inside[0], inside_completed)
    assert (Status.COMPLETED, {"a": 1}, True) == (row.status, row.result, held.completed)


def test_a_transaction_that_fails_completes_nothing(held):
    with contextlib.suppress(ZeroDivisionError), held.transaction() as tx:
        tx.complete()
        1 / 0   # noqa: B018  it is to raise

    assert (Status.RUNNING, False) == (factories.row(held.id).status, held.completed)


@contextlib.contextmanager
def manual():
    transaction.set_autocommit(False)
    try:
        yield
    finally:
        transaction.rollback()
        transaction.set_autocommit(True)


@pytest.mark.parametrize(("around", "why"), [(transaction.atomic, "inside transaction.atomic"), (manual, "while autocommit is off")])
def test_a_transaction_whose_end_somebody_else_decides_is_refused(held, around, why):
    """The runner would report as completed what is rolled back later, and nobody would look at the job again."""
    entered = []
    with around(), pytest.raises(transaction.TransactionManagementError, match=why), held.transaction() as tx:
        tx.complete(entered.append(1))

    assert ([], Status.RUNNING, False) == (entered, factories.row(held.id).status, held.completed)


def test_who_stands_still_in_a_transaction_keeps_the_job_no_longer_than_the_attempt_may_last(held, monkeypatch):
    monkeypatch.setattr(contexts, "SHORTEST_IDLE_SECONDS", 0.2)
    held._ends = clock.elapsed()
    take = "SELECT id FROM job WHERE id = %s FOR UPDATE SKIP LOCKED"
    seen = []
    with factories.own_connection("other") as other:
        def stands_still():
            seen.extend(other.execute(take, [held.id]).fetchall())
            until(lambda: other.execute(take, [held.id]).fetchall(), timeout=30, message="the row stayed locked")

        with pytest.raises(DatabaseError), held.transaction() as tx:
            tx.complete(stands_still())
    connection.close()

    assert [] == seen
    assert (Status.RUNNING, False) == (factories.row(held.id).status, held.completed)


def test_a_transaction_without_completion_leaves_the_job_running(held):
    with held.transaction():
        pass

    assert (Status.RUNNING, False) == (factories.row(held.id).status, held.completed)


@pytest.mark.parametrize("taken", ["fence = nextval('job_fence')", "status = 'queued', fence = NULL, worker_id = NULL"])
def test_a_transaction_is_refused_once_the_job_is_somebody_elses(held, taken):
    with factories.own_connection("other") as other:
        other.execute(f"UPDATE job SET {taken} WHERE id = %s", [held.id])
    entered = []

    with pytest.raises(Fenced), held.transaction():
        entered.append(1)
    with pytest.raises(Fenced):
        held.progress(1, 1)
    assert [] == entered


def test_nobody_can_take_the_job_while_its_transaction_is_open(held):
    with held.transaction() as tx, factories.own_connection("other") as other:
        passed_over = other.execute("SELECT id FROM job WHERE id = %s FOR UPDATE SKIP LOCKED", [held.id]).fetchall()
        tx.complete()

    assert [] == passed_over


def test_a_result_that_cannot_be_stored_rolls_its_transaction_back(held):
    with pytest.raises(UnstorableResult), held.transaction() as tx:
        tx.complete("\0")

    assert Status.RUNNING == factories.row(held.id).status


def test_progress_in_a_tight_loop_is_written_seldom_but_its_end_always(held, monkeypatch):
    written = []
    report = contexts.settle.report
    monkeypatch.setattr(contexts.settle, "report", lambda *args, **kwargs: written.append(kwargs["progress"]) or report(*args, **kwargs))
    for done in range(501):
        held.progress(done, 500, "n" * 1000)

    assert len(written) < 50
    assert {"done": 500, "total": 500, "note": "n" * 500} == factories.row(held.id).progress


def stopping(job, payload):
    for done in range(3):   # the first is written, the others come too soon after it
        job.progress(done, 10, f"{done} done")
    raise Cancelled(job.id)


@pytest.mark.parametrize("handler", [stopping, lambda job, payload: [job.progress(done, None, f"{done} done") for done in range(3)]])
def test_the_last_progress_is_written_when_the_handler_ends(held, board, handler):
    report = run(handler, board, work=assignment(id=str(held.id), fence=held.fence))

    assert report.ending.outcome in {AttemptOutcome.CANCELLED, AttemptOutcome.COMPLETED}
    assert "2 done" == factories.row(held.id).progress["note"]


def test_without_that_the_first_would_stand_there(held, board, monkeypatch):
    monkeypatch.setattr(AttemptContext, "close", lambda job: None)

    run(stopping, board, work=assignment(id=str(held.id), fence=held.fence))

    assert "0 done" == factories.row(held.id).progress["note"]


def test_the_last_progress_of_a_job_that_is_somebody_elses_by_then_is_not_written(held, board):
    def taken(job, payload):
        job.progress(0, 10, "0 done")
        with factories.own_connection("other") as other:
            other.execute("UPDATE job SET fence = nextval('job_fence') WHERE id = %s", [held.id])
        job.progress(1, 10, "1 done")

    run(taken, board, work=assignment(id=str(held.id), fence=held.fence))

    assert "0 done" == factories.row(held.id).progress["note"]


@pytest.mark.parametrize("note", ["fine", "a\0b"])
def test_a_last_progress_that_cannot_be_written_changes_no_outcome(held, board, monkeypatch, note):
    def away(*_, **__):
        raise OperationalError("gone")

    def handler(job, payload):
        job.progress(0, 10)
        job.progress(1, 10, note)
        monkeypatch.setattr(contexts.settle, "report", away)
        return "done"

    assert '"done"' == run(handler, board, work=assignment(id=str(held.id), fence=held.fence)).ending.result


def test_a_type_without_results_stores_none_of_what_its_handler_returns(board):
    kept, left = (run(lambda job, payload: {"large": 1}, board, result=result).ending for result in (True, False))

    assert ('{"large":1}', None) == (kept.result, left.result)
    assert [AttemptOutcome.COMPLETED] * 2 == [kept.outcome, left.outcome]
