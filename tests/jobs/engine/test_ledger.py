"""The database thread of a worker, against the real database: what it settles, compares, repeats and gives up."""

import json
import math
import time
import uuid
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import psycopg
import pytest
from django.db import connection
from psycopg import errors

from apps.jobs import services as jobs
from apps.jobs.conf import Config
from apps.jobs.engine import ledger as ledgers
from apps.jobs.engine.batch import Batch
from apps.jobs.engine.board import Board
from apps.jobs.engine.ledger import ROLL_REST, ROLL_SECONDS, Ledger
from apps.jobs.engine.stock import Fetch, Line
from apps.jobs.lifecycle import AttemptOutcome, Status
from apps.jobs.models import JobAttempt, StaleWrite, Worker
from apps.jobs.transitions import cancel as cancelling
from apps.jobs.transitions import presence, rescue
from apps.jobs.transitions.fetch import HEAD
from apps.jobs.transitions.presence import Start
from apps.jobs.transitions.settle import Ending
from apps.jobs.transitions.statement import on_django
from core import clock
from core.ids import uuid7
from tests.support import factories
from tests.support.waiting import until

QUEUE = "ledger"
LEASE_SECONDS = 30.0


@pytest.fixture
def ledger(db):
    """A ledger that has not started its thread: a test takes its turns itself."""
    made = Ledger(Config(lease_seconds=LEASE_SECONDS), Board())
    made.started = Start(
        id=uuid7(), name="ledger@test", host="test", pid=1, pool="prefork", slots=1, queues=[QUEUE],
        types=json.dumps({"scripted.run": 1}), code_version="", metrics_port=None,
    )
    yield made
    if made.thread is not None:
        made.close()
        made.thread.join(30)
    made._drop_connection()


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
    turn(ledger, everything())

    assert usual <= ROLL_SECONDS < 0.7 * ROLL_REST - 0.1 < ledger._roll_at - time.monotonic()


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


def test_a_worker_declared_dead_starts_anew_and_claims_nothing_under_the_old_row(ledger):
    (claim,) = claimed(ledger)
    before = ledger.started.id
    factories.jobs(3, type="scripted.run", queue=QUEUE)
    with factories.own_connection("somebody") as somebody:
        somebody.execute("UPDATE job_worker SET ended_at = clock_timestamp() WHERE id = %s", [before])
    answer, _ = turn(ledger, everything(fetches=[look()]))
    trusted = ledger.board.trusted()
    after, _ = turn(ledger, everything(fetches=[look()]))

    assert (True, [(claim.id, claim.fence)], False) == (answer.replaced, answer.lost, trusted)
    assert [[]] == [claims for _, claims in answer.fetched]
    assert before != ledger.started.id
    assert [3] == [len(claims) for _, claims in after.fetched]
    assert ledger.board.trusted()
    assert [False, True, True, True] == [ledger.board.may_begin(0, each.life) for each in (claim, *after.fetched[0][1])]


def test_a_row_that_was_removed_is_not_made_alive_by_a_reconnect(ledger):
    """What it held was rescued long ago, when retention took the row of a worker that was cut off."""
    (claim,) = claimed(ledger)
    before = ledger.started.id
    Worker.objects.filter(id=before).delete()
    ledger._connection.close()
    failed, again = turn(ledger, everything())
    answer, _ = turn(ledger, again)
    turn(ledger)

    assert None is failed
    assert (True, [(claim.id, claim.fence)]) == (answer.replaced, answer.lost)
    assert before != ledger.started.id
    assert [False, False] == [Worker.objects.filter(id=before).exists(), ledger.board.may_begin(0, claim.life)]
    assert ledger.board.trusted()


def test_what_a_dead_worker_lost_is_told_though_the_connection_breaks_before_its_next_row_is_made(ledger, monkeypatch):
    (claim,) = claimed(ledger)
    with factories.own_connection("somebody") as somebody:
        somebody.execute("UPDATE job_worker SET ended_at = clock_timestamp() WHERE id = %s", [ledger.started.id])
    real, refused = presence.start, []

    def start(execute, worker, *, lease_seconds):
        if not refused:
            refused.append(worker.id)
            raise psycopg.OperationalError("server closed the connection unexpectedly")
        real(execute, worker, lease_seconds=lease_seconds)

    monkeypatch.setattr(presence, "start", start)
    answer, _ = turn(ledger, everything())
    failed, again = turn(ledger, everything())
    turn(ledger, again)

    assert (True, [(claim.id, claim.fence)]) == (answer.replaced, answer.lost)
    assert (None, [ledger.started.id]) == (failed, refused)
    assert None is Worker.objects.get(id=ledger.started.id).ended_at


@pytest.mark.parametrize("slow", ["fetch", "roll"])
def test_a_look_through_dead_rows_that_takes_too_long_keeps_no_ending_and_no_heartbeat_back(ledger, monkeypatch, slow):
    claims = claimed(ledger)
    wanted = look()
    seen = Worker.objects.get(id=ledger.started.id).seen_at
    real = {"fetch": ledgers.fetch.fetch, "roll": presence.roll}[slow]

    def too_slow(execute, **options):
        execute("SET LOCAL statement_timeout = '10ms'", {})
        execute("SELECT pg_sleep(30)", {})
        return real(execute, **options)

    monkeypatch.setattr(*{"fetch": (ledgers.fetch, "fetch"), "roll": (presence, "roll")}[slow], too_slow)
    batch, answers = everything(completed(claims[0]), fetches=[wanted]), []
    for _ in range(3):
        answer, batch = turn(ledger, batch)
        if answer is not None:
            answers.append(answer)
            break

    assert [claims[0].id] == [ending.id for answer in answers for ending in answer.settled]
    assert Status.COMPLETED == factories.row(claims[0].id).status
    assert seen < Worker.objects.get(id=ledger.started.id).seen_at
    assert [[wanted]] == [answer.too_slow for answer in ledger.answers]


def test_looks_that_are_too_slow_together_keep_no_ending_back_either(ledger, monkeypatch):
    """The server ends the transaction by its age then, and the connection with it."""
    claims = claimed(ledger)
    wanted, roll, fetch = look(), presence.roll, ledgers.fetch.fetch
    monkeypatch.setattr(ledgers, "TRANSACTION_SECONDS", 1.0)
    ledger._drop_connection()

    def slow(statement):
        def slowed(execute, **options):
            execute("SELECT pg_sleep(0.7)", {})
            return statement(execute, **options)
        return slowed

    monkeypatch.setattr(presence, "roll", slow(roll))
    monkeypatch.setattr(ledgers.fetch, "fetch", slow(fetch))
    ledger.start(ledger.started, lambda: None)
    until(ledger.board.trusted, timeout=30)
    ledger.ask(wanted)
    ledger._roll_at = 0.0
    ledger.settle(completed(claims[0]))
    until(lambda: factories.row(claims[0].id).status == Status.COMPLETED, timeout=30, message="the ending waited for the looks")


def test_a_batch_of_which_nothing_is_left_is_not_sent_again(ledger, monkeypatch):
    real, failed, gathered = ledgers.fetch.fetch, [], []

    def too_slow_once(execute, **options):
        if not failed:
            failed.append(True)
            raise errors.QueryCanceled
        return real(execute, **options)

    monkeypatch.setattr(ledgers.fetch, "fetch", too_slow_once)
    gather = ledger._gathered
    monkeypatch.setattr(ledger, "_gathered", lambda: gathered.append(True) or gather())
    ledger.start(ledger.started, lambda: None)
    until(ledger.board.trusted, timeout=30)
    ledger.ask(look())
    until(lambda: failed and ledger.answers and any(answer.too_slow for answer in ledger.answers), timeout=30)
    ledger.ask(look())
    until(lambda: any(answer.fetched for answer in ledger.answers), timeout=30)

    assert len(gathered) < 50   # each turn that had nothing to wait for would be one


def test_who_stands_still_in_the_middle_of_a_commit_keeps_no_row_and_is_declared_dead(ledger, monkeypatch):
    """A process that is frozen there holds locks at a server that waits for it: neither statement nor idle time ends that."""
    monkeypatch.setattr(ledgers, "TRANSACTION_SECONDS", 0.5)
    turn(ledger)
    waiting = factories.jobs(3, type="scripted.run", queue=QUEUE)
    Worker.objects.update(lease_until="2001-01-01T00:00:00Z")
    heir, real, seen = factories.worker(types=["scripted.run"], queues=[QUEUE]), ledgers.fetch.fetch, []

    def standing_still(execute, **options):
        reply = real(execute, **options)
        with factories.own_connection("heir") as other:
            def claims():
                return real(other.execute, worker=heir, queue=QUEUE, types=["scripted.run@1"], limit=10).get()
            seen.append(claims())
            seen.append(until(claims, timeout=30, message="its rows stayed locked"))
            until(lambda: rescue.end_silent_workers(other.execute, until=datetime(2999, 1, 1, tzinfo=UTC)).get(), timeout=30)
        return reply

    monkeypatch.setattr(ledgers.fetch, "fetch", standing_still)
    failed, again = turn(ledger, everything(fetches=[look()]))
    monkeypatch.setattr(ledgers.fetch, "fetch", real)
    answer, _ = turn(ledger, again)

    assert ([], [str(each) for each in waiting]) == (seen[0], [claim.id for claim in seen[1]])
    assert (None, True) == (failed, answer.replaced)


def test_after_a_suspend_the_lease_is_asked_for_at_once(ledger, monkeypatch):
    """The clock of its deadline counts the time asleep, the clock of the next heartbeat does not."""
    turn(ledger)
    before = ledger._gathered().beat
    ledger.board.trust_until(clock.elapsed() - 1)
    ledger._wait()   # for nothing, or the test would last until the heartbeat was due

    assert (False, True) == (before, ledger._gathered().beat)


def test_a_worker_whose_loop_takes_no_answer_for_long_renews_no_lease_until_it_does(ledger, monkeypatch):
    ledger.start(ledger.started, lambda: None)
    until(ledger.board.trusted, timeout=30)
    until(lambda: ledger.answers, timeout=30)
    monkeypatch.setattr(ledgers, "STANDS_SECONDS", 0.0)
    ledger._beat_at = 0.0
    standing = ledger._gathered().beat
    ledger.answers.clear()
    ledger._beat_at = 0.0

    assert (False, True) == (standing, ledger._gathered().beat)


def test_a_worker_that_knows_of_nothing_asks_with_each_heartbeat_what_it_holds(ledger):
    turn(ledger)
    ledger._beat_at = ledger._roll_at = 0.0
    beats = ledger._gathered()
    ledger._beat_at, ledger._roll_at = math.inf, 0.0
    between = ledger._gathered()

    assert (True, True) == (beats.beat, beats.roll)
    assert (False, False) == (between.beat, between.roll)


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
    assert about == ledgers._about_a_value(exc)


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
