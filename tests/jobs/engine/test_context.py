"""What a handler is given: what it hears, its transaction, its progress. No worker, but the real database."""

import contextlib
from types import SimpleNamespace

import pytest
from django.db import DatabaseError, OperationalError, connection, transaction

from apps.jobs.engine import context as contexts
from apps.jobs.engine.board import Word
from apps.jobs.engine.context import AttemptContext
from apps.jobs.errors import Cancelled, DeadlineExceeded, Fenced, LeaseLost, UnstorableResult
from apps.jobs.lifecycle import AttemptOutcome, Status
from core import clock
from tests.jobs.engine.test_runner import assignment, run
from tests.support import factories
from tests.support.waiting import until


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
