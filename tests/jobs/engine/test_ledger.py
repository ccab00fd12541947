"""The database thread of a worker, against the real database: what it settles, compares, repeats and gives up."""

import time
import uuid
from contextlib import contextmanager
from datetime import timedelta
from types import SimpleNamespace

import psycopg
import pytest
from django.db import connection

from apps.jobs import services as jobs
from apps.jobs.engine import ledger as ledgers
from apps.jobs.engine.batch import Batch
from apps.jobs.engine.ledger import ROLL_REST, ROLL_SECONDS
from apps.jobs.engine.refusal import about_a_value
from apps.jobs.engine.stock import Fetch, Line
from apps.jobs.lifecycle import AttemptOutcome, Status
from apps.jobs.models import JobAttempt, StaleWrite, Worker
from apps.jobs.transitions import cancel as cancelling
from apps.jobs.transitions import presence
from apps.jobs.transitions.fetch import HEAD
from apps.jobs.transitions.settle import Ending
from apps.jobs.transitions.statement import on_django
from core import clock
from tests.jobs.engine.conftest import LEDGER_LEASE_SECONDS as LEASE_SECONDS
from tests.jobs.engine.conftest import LEDGER_QUEUE as QUEUE
from tests.support import factories
from tests.support.cursors import executed
from tests.support.waiting import until


def turn(ledger, batch=None):
    """Do what the thread does with one batch, once; its answer, or None when it failed and is to be sent again."""
    batch = batch or ledger._gathered()
    try:
        return ledger._commit(batch), None
    except Exception as exc:  # noqa: BLE001  as the thread
        return None, ledger._after(exc, batch)


def everything(*endings, fetches=()):
    return Batch(list(endings), list(fetches), beat=True, roll=True, queues=True)


def look(limit=10):
    line = Line(QUEUE)
    return Fetch(line, limit, HEAD, 0.0)


def claimed(ledger, count=1):
    """Store jobs and have the ledger claim them."""
    ids = factories.jobs(count, type="scripted.run", queue=QUEUE)
    answer, _ = turn(ledger, everything(fetches=[look(count)]))
    ((_, claims),) = answer.fetched
    assert [str(each) for each in ids] == [claim.id for claim in claims]
    return claims


def cursors_of(ledger, batch):
    """Commit a batch; what it claimed, and how many statements went through a cursor."""
    with executed() as seen:
        answer, _ = turn(ledger, batch)
    return [claim.id for _, claims in answer.fetched for claim in claims], len(seen)


def completed(claim, result="1"):
    return Ending(id=claim.id, fence=claim.fence, outcome=AttemptOutcome.COMPLETED, result=result)


@contextmanager
def lost_reply(ledger, *, committed):
    """End the server's side of the connection before the commit or after it, while the client still waits."""
    ledger._connected()
    real = ledger._connection
    pid = real.info.backend_pid

    def end():
        with factories.own_connection("somebody") as somebody:
            somebody.execute("SELECT pg_terminate_backend(%s)", [pid])
            until(lambda: not somebody.execute("SELECT FROM pg_stat_activity WHERE pid = %s", [pid]).fetchall())

    @contextmanager
    def pipeline():
        if not committed:
            end()
        with type(real).pipeline(real):
            yield
        end()
        real.execute("SELECT 1")   # what the client would have met instead of the reply

    real.pipeline = pipeline
    yield


def test_a_first_turn_makes_the_workers_row_and_gives_the_lease(ledger):
    before = ledger.board.trusted()
    turn(ledger)

    assert (False, True) == (before, ledger.board.trusted())
    assert Worker.objects.get(id=ledger.started.id).ended_at is None


def test_the_lease_is_believed_from_before_the_question_and_less_long_than_it_lives(ledger, monkeypatch):
    turn(ledger)
    told = []
    monkeypatch.setattr(ledger.board, "trust_until", told.append)
    before = clock.elapsed()
    turn(ledger, everything())

    assert before <= told[0] - LEASE_SECONDS + ledger.config.margin_seconds <= clock.elapsed()
    assert ledger.config.margin_seconds > 0


def test_endings_are_settled_and_answered(ledger):
    claims = claimed(ledger, 3)
    answer, _ = turn(ledger, everything(*map(completed, claims)))

    assert {claim.id for claim in claims} == {ending.id for ending in answer.settled}
    assert [Status.COMPLETED] * 3 == [factories.row(claim.id).status for claim in claims]
    assert {} == ledger._mine


def test_an_ending_under_an_old_fence_is_refused_and_kept(ledger):
    (claim,) = claimed(ledger)
    late = completed(claim)._replace(fence=claim.fence - 1)
    turn(ledger, everything(late))

    assert Status.RUNNING == factories.row(claim.id).status
    assert [(uuid.UUID(claim.id), late.fence)] == list(StaleWrite.objects.values_list("job_id", "fence"))


@pytest.mark.parametrize("committed", [True, False])
def test_endings_whose_commit_got_no_reply_are_sent_again_and_count_once(ledger, committed):
    claims = claimed(ledger, 3)
    batch = everything(*map(completed, claims))
    with lost_reply(ledger, committed=committed):
        answer, again = turn(ledger, batch)
    second, _ = turn(ledger, again)

    assert None is answer
    assert 3 == len(second.settled)
    assert [Status.COMPLETED] * 3 == [factories.row(claim.id).status for claim in claims]
    assert 0 == StaleWrite.objects.count()
    with connection.cursor() as cursor:
        cursor.execute("SELECT sum(count)::int FROM job_tally WHERE event = 'completed'")
        assert (3,) == cursor.fetchone()


def test_failures_whose_commit_got_no_reply_are_charged_once(ledger):
    (claim,) = claimed(ledger)
    failed = Ending(id=claim.id, fence=claim.fence, outcome=AttemptOutcome.FAILED, error="{}", delay_seconds=3600)
    with lost_reply(ledger, committed=True):
        _, again = turn(ledger, everything(failed))
    turn(ledger, again)

    assert (Status.RETRYING, 1) == (factories.row(claim.id).status, factories.row(claim.id).failures)
    assert 1 == JobAttempt.objects.filter(job_id=claim.id).count()


def test_what_a_commit_without_reply_had_claimed_is_given_back_uncharged(ledger):
    ids = factories.jobs(2, type="scripted.run", queue=QUEUE)
    with lost_reply(ledger, committed=True):
        _, again = turn(ledger, everything(fetches=[look()]))
    taken = [factories.row(each) for each in ids]
    turn(ledger, again)       # the roll call names the strangers
    turn(ledger)              # and they go back
    back = [factories.row(each) for each in ids]
    answer, _ = turn(ledger, everything(fetches=[look()]))

    assert [(Status.RUNNING, 1)] * 2 == [(row.status, row.attempt) for row in taken]
    assert [(Status.QUEUED, 0)] * 2 == [(row.status, row.attempt) for row in back]
    ((_, claims),) = answer.fetched
    assert [1, 1] == [claim.attempt for claim in claims]


def test_a_job_that_was_taken_from_us_is_reported_at_the_next_roll(ledger):
    taken, kept = claimed(ledger, 2)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE job SET fence = nextval('job_fence') WHERE id = %s", [taken.id])
    answer, _ = turn(ledger, everything())

    assert [(taken.id, taken.fence)] == answer.lost
    assert {kept.id: kept.fence} == ledger._mine


def test_a_job_that_its_own_transaction_completed_is_not_reported_as_lost(ledger):
    from apps.jobs.transitions import settle

    (claim,) = claimed(ledger)
    settle.complete(on_django(), job_id=uuid.UUID(claim.id), fence=claim.fence, result=None)
    answer, _ = turn(ledger, everything())
    confirmed = Ending(id=claim.id, fence=claim.fence, outcome=AttemptOutcome.COMPLETED, confirmed=True)
    last, _ = turn(ledger, everything(confirmed))

    assert [] == answer.lost
    assert [confirmed] == last.settled
    assert {} == ledger._mine


def test_a_roll_call_that_takes_long_is_made_seldom(ledger, monkeypatch):
    """A transaction that holds back vacuum makes it read every job that this worker has ended since."""
    real = presence.roll

    def slow(execute, **options):
        execute("SELECT pg_sleep(0.7)", {})
        return real(execute, **options)

    turn(ledger, everything())
    usual = ledger._roll_at - time.monotonic()
    monkeypatch.setattr(presence, "roll", slow)
    rests = []
    for _ in range(2):
        turn(ledger, everything())
        rests.append(ledger._roll_at - time.monotonic())

    assert usual <= ROLL_SECONDS < 0.7 * ROLL_REST - 0.1 < rests[1]
    assert rests[0] <= ROLL_SECONDS   # once is no habit: the database may have stalled


def test_a_requested_cancellation_is_reported_at_the_next_roll(ledger):
    (claim,) = claimed(ledger)
    cancelling.cancel(on_django(), ids=[uuid.UUID(claim.id)], error=factories.CANCELLED).get()
    answer, _ = turn(ledger, everything())

    assert [(claim.id, claim.fence)] == answer.cancelled


@pytest.mark.parametrize("poison", ['"\\u0000"', '{"a": "\\u0000"}', "not json at all", '"\\ud800"'])
def test_a_value_that_postgresql_refuses_ends_its_job_alone(ledger, poison):
    bad, *good = claimed(ledger, 5)
    factories.jobs(2, type="scripted.run", queue=QUEUE)
    batch = everything(completed(good[0]), completed(bad, poison), *map(completed, good[1:]), fetches=[look()])
    _, again = turn(ledger, batch)
    left = [ending.id for ending in again.endings]
    answer, again = turn(ledger, again)

    row = factories.row(bad.id)
    assert ([bad.id], None) == (left, again)
    assert (Status.DEAD_LETTER, 1, "UnstorableResult") == (row.status, row.failures, row.error["class"])
    assert [Status.COMPLETED] * 4 == [factories.row(claim.id).status for claim in good]
    assert {claim.id for claim in good} == {ending.id for each in ledger.answers for ending in each.settled}
    assert [[1, 1]] == [[claim.attempt for claim in claims] for _, claims in answer.fetched]


def test_an_ending_whose_row_somebody_holds_is_tried_again_and_holds_up_nobody(ledger, monkeypatch):
    held, free = claimed(ledger, 2)
    with factories.own_connection("an edit") as edit, edit.transaction():
        edit.execute("SELECT FROM job WHERE id = %s FOR UPDATE", [held.id])
        answer, _ = turn(ledger, everything(completed(held), completed(free)))
    waiting = ledger.pending()
    until(lambda: turn(ledger)[0] and not ledger._later, timeout=30)

    assert [free.id] == [ending.id for ending in answer.settled]
    assert waiting
    assert [Status.COMPLETED] * 2 == [factories.row(claim.id).status for claim in (held, free)]


def test_rows_of_queues_are_reported(ledger):
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO job_queue (name, paused_by, paused_reason) VALUES ('a', '', ''), ('b', '', '')")
    answer, _ = turn(ledger, everything())

    assert ["a", "b"] == answer.queues


@pytest.mark.parametrize(("exc", "about"), [
    (psycopg.errors.UntranslatableCharacter(), True),
    (psycopg.errors.InvalidTextRepresentation(), True),
    (psycopg.errors.StatementTooComplex(), True),
    (psycopg.errors.ProgramLimitExceeded(), True),
    (UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed"), True),
    (psycopg.errors.AdminShutdown(), False),
    (psycopg.errors.DiskFull(), False),
    (psycopg.errors.ReadOnlySqlTransaction(), False),
    (psycopg.errors.LockNotAvailable(), False),
    (psycopg.errors.DeadlockDetected(), False),
    (psycopg.errors.QueryCanceled(), False),
    (psycopg.OperationalError("the connection is lost"), False),
    (psycopg.InterfaceError("the connection is closed"), False),
])
def test_only_what_is_about_a_value_is_blamed_on_an_ending(exc, about):
    assert about == about_a_value(exc)


# The thread itself.


def test_the_thread_settles_what_it_is_given_and_tells(ledger):
    told = []
    ledger.start(ledger.started, lambda: told.append(1))
    until(ledger.board.trusted, timeout=30)
    factories.jobs(2, type="scripted.run", queue=QUEUE)
    ledger.ask(look())
    (claims,) = until(lambda: [claims for answer in list(ledger.answers) for _, claims in answer.fetched], timeout=30)
    for claim in claims:
        ledger.settle(completed(claim))
    until(lambda: not ledger._mine and not ledger.endings, timeout=30)

    assert [Status.COMPLETED] * 2 == [factories.row(claim.id).status for claim in claims]
    assert told


def test_the_thread_outlives_a_lost_connection(ledger):
    ledger.start(ledger.started, lambda: None)
    until(ledger.board.trusted, timeout=30)
    factories.jobs(1, type="scripted.run", queue=QUEUE)
    ledger.ask(look())
    until(lambda: ledger._mine, timeout=30)
    (job_id, fence), = ledger._mine.items()
    with factories.own_connection("somebody") as somebody:
        somebody.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'latchwork ledger@test'")
    ledger.settle(Ending(id=job_id, fence=fence, outcome=AttemptOutcome.COMPLETED))

    until(lambda: factories.row(job_id).status == Status.COMPLETED, timeout=30)
    assert ledger.thread.is_alive()


def test_a_closed_thread_ends_its_row_after_what_was_queued(ledger):
    claims = claimed(ledger, 3)
    ledger.start(ledger.started, lambda: None)
    for claim in claims:
        ledger.settle(completed(claim))
    ledger.close()
    ledger.thread.join(30)

    assert [Status.COMPLETED] * 3 == [factories.row(claim.id).status for claim in claims]
    assert "stopped" == Worker.objects.get(id=ledger.started.id).end_reason


def test_under_load_it_gathers_and_when_idle_it_acts_at_once(ledger, monkeypatch):
    slept = []
    monkeypatch.setattr(ledgers, "time", SimpleNamespace(sleep=slept.append, monotonic=lambda: 0.0))
    ledger.settle(Ending(id="x", fence=1, outcome=AttemptOutcome.COMPLETED))
    ledger._wait()
    idle = list(slept)
    ledger._mine = {str(number): number for number in range(ledgers.BUSY + 1)}
    ledger._wait()

    assert ([], [ledgers.GATHER_SECONDS]) == (idle, slept)


def test_a_scheduled_job_is_not_fetched(ledger):
    jobs.enqueue("scripted.run", {}, queue="scripted", delay=timedelta(hours=1))
    line = Line("scripted")
    answer, _ = turn(ledger, everything(fetches=[Fetch(line, 10, HEAD, 0.0)]))

    assert [[]] == [claims for _, claims in answer.fetched]


def test_a_fetch_that_a_free_slot_waits_for_goes_straight_and_one_beside_an_ending_in_its_commit(ledger):
    first, second = (claimed(ledger)[0] for _ in range(2))   # the fetch is prepared by now
    ids = [str(each) for each in factories.jobs(3, type="scripted.run", queue=QUEUE)]
    alone = Batch([], [look(1)], beat=False, roll=False, queues=False)
    beside = Batch([completed(first)], [look(1)], beat=False, roll=False, queues=False)
    beating = Batch([], [look(1)], beat=True, roll=False, queues=False)

    assert ([ids[0]], 0) == cursors_of(ledger, alone)
    assert ([ids[1]], 2) == cursors_of(ledger, beside)
    assert ([ids[2]], 2) == cursors_of(ledger, beating)
    assert {str(second.id), *ids} == set(ledger._mine)
