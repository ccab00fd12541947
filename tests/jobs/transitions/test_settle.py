"""Endings: each under its fence, each once, none in anybody's way."""

import json
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from psycopg.errors import LockNotAvailable

from apps.jobs import selectors
from apps.jobs.lifecycle import AttemptOutcome, Status
from apps.jobs.models import Job, JobAttempt, StaleWrite
from apps.jobs.transitions import cancel, presence, rescue, settle
from apps.jobs.transitions.statement import on_django
from tests.support.factories import (
    CANCELLED,
    claim,
    claims,
    end,
    job,
    jobs,
    own_connection,
    row,
    settled,
    worker,
)

pytestmark = pytest.mark.django_db
transactional = pytest.mark.django_db(transaction=True)

FAILED, LOST, RELEASED = AttemptOutcome.FAILED, AttemptOutcome.WORKER_LOST, AttemptOutcome.RELEASED
ERROR = json.dumps({"class": "ValueError", "message": "no", "traceback": ""})
FENCE = "j.fence = v.fence AND "


def begun(**changes):
    job_id, me = job(**changes), worker()
    return job_id, me, claim(me)


def taken_over(got):
    """Take a claimed job from its worker, as a rescue and another worker's fetch do; return the new claim."""
    presence.end(on_django(), worker=row(got.id).worker_id, reason="test")
    rescue.rescue(on_django(), rescue_cap=3, limit=10, error=ERROR).get()
    second = worker()
    return second, claim(second)


@pytest.mark.parametrize(("outcome", "more", "expected"), [
    (AttemptOutcome.COMPLETED, {"result": '{"sum": 3}'}, Status.COMPLETED),
    (AttemptOutcome.FAILED, {"delay_seconds": 5.0, "error": ERROR}, Status.RETRYING),
    (AttemptOutcome.FAILED, {"error": ERROR}, Status.DEAD_LETTER),
    (AttemptOutcome.TIMED_OUT, {"delay_seconds": 5.0}, Status.RETRYING),
    (AttemptOutcome.TIMED_OUT, {}, Status.DEAD_LETTER),
    (AttemptOutcome.DISCARDED, {"error": ERROR}, Status.DEAD_LETTER),
    (AttemptOutcome.CANCELLED, {"error": ERROR}, Status.CANCELLED),
    (AttemptOutcome.WORKER_LOST, {"error": ERROR}, Status.QUEUED),
    (AttemptOutcome.SNOOZED, {"delay_seconds": 5.0}, Status.SCHEDULED),
    (AttemptOutcome.STOPPED, {}, Status.QUEUED),
    (AttemptOutcome.RELEASED, {}, Status.QUEUED),
])
def test_an_outcome_leads_to_its_status(outcome, more, expected):
    job_id, me, got = begun()

    said = settled(me, end(got, outcome, **more))

    assert ([], []) == (said.stale, said.held)
    assert expected == row(job_id).status


@pytest.mark.parametrize("outcome", AttemptOutcome)
def test_a_stale_settle_changes_nothing_and_stands_in_the_ledger(outcome):
    job_id, old, first = begun()
    new, second = taken_over(first)
    before = Job.objects.filter(id=job_id).values().get()

    said = settled(old, end(first, outcome, result='"late"', error=ERROR, delay_seconds=1.0))

    assert before == Job.objects.filter(id=job_id).values().get()
    assert [(str(job_id), first.fence)] == said.stale
    assert [(job_id, first.fence, old, outcome.value)] == list(
        StaleWrite.objects.values_list("job_id", "fence", "worker_id", "outcome"))
    assert [] == settled(new, end(second)).stale


def test_without_the_fence_a_stale_worker_ends_the_job_of_another(monkeypatch):
    job_id, old, first = begun()
    taken_over(first)
    assert 1 == settle._SETTLE.count(FENCE)
    monkeypatch.setattr(settle, "_SETTLE", settle._SETTLE.replace(FENCE, ""))

    settled(old, end(first, result='"late"'))

    assert (Status.COMPLETED, "late") == (row(job_id).status, row(job_id).result)


def test_a_settle_is_refused_when_the_job_waits_after_its_rescue():
    job_id, me, got = begun()
    presence.end(on_django(), worker=me, reason="test")
    rescue.rescue(on_django(), rescue_cap=3, limit=10, error=ERROR).get()

    assert [(str(job_id), got.fence)] == settled(me, end(got)).stale
    assert Status.QUEUED == row(job_id).status


def test_a_settle_of_a_job_that_does_not_exist_is_refused():
    me, ghost = worker(), uuid.uuid4()

    said = settled(me, settle.Ending(id=str(ghost), fence=1, outcome=AttemptOutcome.COMPLETED))

    assert [(str(ghost), 1)] == said.stale


@pytest.mark.parametrize("outcome", AttemptOutcome)
def test_a_settle_repeated_after_an_unknown_commit_changes_nothing(outcome):
    job_id, me, got = begun()
    ending = end(got, outcome, delay_seconds=60.0, error=ERROR)
    settled(me, ending)
    before, counts = Job.objects.filter(id=job_id).values().get(), selectors.by_status()

    again = settled(me, ending)

    assert ([], []) == (again.stale, again.held)
    assert before == Job.objects.filter(id=job_id).values().get()
    assert counts == selectors.by_status()
    assert JobAttempt.objects.count() <= 1
    assert not StaleWrite.objects.exists()


@pytest.mark.parametrize("outcome", AttemptOutcome)
def test_a_settle_twice_in_one_batch_counts_once(outcome):
    job_id, me, got = begun()
    ending = end(got, outcome, delay_seconds=60.0, error=ERROR, seconds=2.0)

    said = settled(me, ending, ending)

    events = {each.event: (each.count, each.seconds) for each in selectors.endings()}
    assert ([], []) == (said.stale, said.held)
    assert all(counted == (1, 2.0) for counted in events.values()), events
    assert row(job_id).failures <= 1


def test_the_first_of_two_contradicting_endings_stands():
    job_id, me, got = begun()

    settled(me, end(got, result="1"), end(got, FAILED, error=ERROR))

    assert (Status.COMPLETED, 1) == (row(job_id).status, row(job_id).result)


def test_a_late_and_a_valid_ending_of_one_job_in_one_batch_are_told_apart():
    job_id, _, first = begun()
    new, second = taken_over(first)

    said = settled(new, end(first, result='"late"'), end(second, result='"good"'))

    assert [(str(job_id), first.fence)] == said.stale
    assert "good" == row(job_id).result


@transactional
def test_a_settle_of_a_row_that_somebody_holds_says_so_and_waits_for_nobody(held_by):
    mine, others = jobs(2)
    me = worker()
    got = {each.id: each for each in claims(me)}

    with held_by(others):
        said = settled(me, *(end(each) for each in got.values()))
        assert [(str(others), got[str(others)].fence)] == said.held
        assert [Status.COMPLETED, Status.RUNNING] == [row(mine).status, row(others).status]
        assert not StaleWrite.objects.exists()
    again = settled(me, end(got[str(others)]))

    assert ([], []) == (again.stale, again.held)
    assert Status.COMPLETED == row(others).status


@transactional
def test_without_skip_locked_a_settle_waits_for_whoever_holds_a_row(held_by, monkeypatch):
    job_id, me, got = begun()
    monkeypatch.setattr(settle, "_SETTLE", settle._SETTLE.replace("SKIP LOCKED", ""))

    with held_by(job_id), own_connection() as mine:
        mine.execute("SET lock_timeout = 50")
        with pytest.raises(LockNotAvailable):
            settled(me, end(got), execute=mine.execute)


@transactional
def test_a_settle_that_meets_a_rescue_at_its_commit_is_refused(other):
    """The settle's snapshot still sees its fence, yet the row is another's by the time it is locked."""
    job_id, me, got = begun()
    presence.end(on_django(), worker=me, reason="test")
    with other.transaction():
        rescue.rescue(other.execute, rescue_cap=3, limit=10, error=ERROR).get()
        beside = settled(me, end(got))
    after = settled(me, end(got))

    assert [(str(job_id), got.fence)] == beside.held
    assert [(str(job_id), got.fence)] == after.stale
    assert Status.QUEUED == row(job_id).status


def test_what_is_given_back_costs_nothing_and_leaves_no_trace():
    job_id, me, got = begun()
    before = row(job_id)

    settled(me, end(got, RELEASED))

    found = row(job_id)
    assert (Status.QUEUED, 0, 0, 0, None, None) == (
        found.status, found.attempt, found.failures, found.rescues, found.worker_id, found.started_at)
    assert before.run_at == found.run_at
    assert [] == selectors.attempts(job_id)
    assert [] == selectors.endings()


def test_a_job_that_was_given_back_is_claimed_with_the_same_number_and_a_greater_fence():
    _, me, first = begun()
    settled(me, end(first, RELEASED))

    second = claim(me)

    assert first.attempt == second.attempt
    assert first.fence < second.fence


@pytest.mark.parametrize("outcome", [AttemptOutcome.SNOOZED, AttemptOutcome.STOPPED, AttemptOutcome.RELEASED])
def test_these_outcomes_cost_no_budget(outcome):
    job_id, me, got = begun(max_attempts=1)

    settled(me, end(got, outcome, delay_seconds=0.0))

    assert (0, 0) == (row(job_id).failures, row(job_id).rescues)
    assert row(job_id).status in {Status.QUEUED, Status.SCHEDULED}


@pytest.mark.parametrize("outcome", [AttemptOutcome.FAILED, AttemptOutcome.TIMED_OUT])
def test_failures_end_a_job_after_its_attempts(outcome):
    job_id, me = job(max_attempts=3), worker()
    statuses = []
    for _ in range(3):
        settled(me, end(claim(me), outcome, delay_seconds=0.0, error=ERROR))
        statuses.append(row(job_id).status)
        Job.objects.filter(id=job_id, status=Status.RETRYING).update(status=Status.QUEUED)

    assert [Status.RETRYING, Status.RETRYING, Status.DEAD_LETTER] == statuses
    assert (3, "ValueError") == (row(job_id).failures, row(job_id).error["class"])


def test_losses_of_its_worker_end_a_job_after_their_cap_and_charge_no_attempt():
    job_id, me = job(max_attempts=1), worker()
    statuses = []
    for _ in range(4):
        settled(me, end(claim(me), LOST, error=ERROR), rescue_cap=3)
        statuses.append(row(job_id).status)

    assert [Status.QUEUED] * 3 + [Status.DEAD_LETTER] == statuses
    assert (0, 4) == (row(job_id).failures, row(job_id).rescues)
    assert ["worker_lost"] * 4 == [each.outcome for each in selectors.attempts(job_id)]


def test_a_snooze_sets_the_next_time():
    job_id, me, got = begun()
    moment = datetime(2999, 1, 1, tzinfo=UTC)

    settled(me, end(got, AttemptOutcome.SNOOZED, until=moment))

    assert (Status.SCHEDULED, moment) == (row(job_id).status, row(job_id).run_at)


def test_a_back_off_counts_from_the_databases_clock():
    job_id, me, got = begun()
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        now = cursor.fetchone()[0]

    settled(me, end(got, FAILED, delay_seconds=600.0, error=ERROR))

    assert timedelta(seconds=600) <= row(job_id).run_at - now < timedelta(seconds=630)


@pytest.mark.parametrize("outcome", AttemptOutcome)
def test_a_job_that_was_asked_to_stop_never_goes_back_to_any_queue(outcome):
    job_id, me, got = begun()
    cancel.cancel(on_django(), ids=[job_id], error=CANCELLED).get()

    settled(me, end(got, outcome, delay_seconds=1.0, error=ERROR))

    ends = {AttemptOutcome.COMPLETED: Status.COMPLETED, AttemptOutcome.DISCARDED: Status.DEAD_LETTER}
    assert ends.get(outcome, Status.CANCELLED) == row(job_id).status
    assert {row(job_id).status: 1} == {status: count for status, count in selectors.by_status().items() if count}


def test_a_completed_job_has_its_result_and_no_error():
    job_id, me = job(), worker()
    settled(me, end(claim(me), LOST, error=ERROR))

    settled(me, end(claim(me), result='[1, "zwei"]'))

    assert ([1, "zwei"], None) == (row(job_id).result, row(job_id).error)


def test_every_attempt_is_kept_once_and_in_order():
    job_id, me = job(max_attempts=9), worker()
    for outcome in (LOST, AttemptOutcome.SNOOZED, RELEASED, FAILED, AttemptOutcome.COMPLETED):
        settled(me, end(claim(me), outcome, delay_seconds=0.0, error=ERROR))
        Job.objects.filter(id=job_id, status__in=["scheduled", "retrying"]).update(status=Status.QUEUED)

    attempts = selectors.attempts(job_id)

    assert [(1, "worker_lost"), (2, "snoozed"), (3, "failed"), (4, "completed")] == [
        (each.number, each.outcome) for each in attempts]
    assert [me] * 4 == [each.worker for each in attempts]
    assert sorted(each.fence for each in attempts) == [each.fence for each in attempts]


def test_a_job_that_succeeds_at_once_costs_no_second_row():
    job_id, me, got = begun()
    settled(me, end(got))

    assert 0 == JobAttempt.objects.count()
    assert [(1, "completed", got.fence)] == [
        (each.number, each.outcome, each.fence) for each in selectors.attempts(job_id)]


def test_a_batch_of_all_outcomes_is_one_statement():
    me = worker()
    ids = jobs(len(AttemptOutcome))
    got = claims(me)

    said = settled(me, *(
        end(each, outcome, delay_seconds=1.0, error=ERROR) for each, outcome in zip(got, AttemptOutcome, strict=True)))

    assert ([], []) == (said.stale, said.held)
    assert 0 == Job.objects.filter(id__in=ids, status=Status.RUNNING).count()


def test_an_empty_batch_says_nothing():
    said = settled(worker())

    assert ([], []) == (said.stale, said.held)


def test_a_confirmed_ending_is_neither_counted_again_nor_refused():
    job_id, me, got = begun()
    settle.complete(on_django(), job_id=job_id, fence=got.fence, result="1")

    for _ in range(2):
        said = settled(me, end(got, confirmed=True, seconds=1.0))

    assert ([], []) == (said.stale, said.held)
    assert 1 == selectors.by_status()["completed"]


def test_progress_is_written_under_the_fence_only():
    job_id, _, first = begun()
    assert settle.report(on_django(), job_id=job_id, fence=first.fence, progress='{"done": 1}')
    taken_over(first)

    assert not settle.report(on_django(), job_id=job_id, fence=first.fence, progress='{"done": 2}')
    assert row(job_id).progress is None


def test_a_repeated_settle_that_is_refused_is_told_again_and_kept_once():
    job_id, old, first = begun()
    taken_over(first)

    told = [settled(old, end(first)).stale for _ in range(2)]

    assert [[(str(job_id), first.fence)]] * 2 == told
    assert 1 == StaleWrite.objects.count()
