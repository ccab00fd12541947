"""The lives of a worker, as its database thread knows them: declared dead, frozen, suspended, standing, or too slow to tell."""

import math
from datetime import UTC, datetime

import psycopg
import pytest
from psycopg import errors

from apps.jobs.engine import ledger as ledgers
from apps.jobs.lifecycle import Status
from apps.jobs.models import Worker
from apps.jobs.transitions import presence, rescue
from core import clock
from tests.jobs.engine.conftest import LEDGER_QUEUE as QUEUE
from tests.jobs.engine.test_ledger import claimed, completed, everything, look, turn
from tests.support import factories
from tests.support.waiting import until


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
