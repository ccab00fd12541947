"""Retention: what goes, what stays, and sums that stay what they are."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest

from apps.jobs import selectors
from apps.jobs.lifecycle import AttemptOutcome, Status
from apps.jobs.models import Job, JobAttempt, StaleWrite, Tally, Worker
from apps.jobs.transitions import presence, prune
from apps.jobs.transitions.statement import on_django
from tests.support.factories import claim, end, job, job_in, settled, worker

pytestmark = pytest.mark.django_db

WEEK = timedelta(days=7)
LONG_AGO = datetime(2001, 1, 1, tzinfo=UTC)


def pruned(*, keep=WEEK, limit=100):
    return prune.prune_jobs(on_django(), keep=keep, limit=limit).get()


def old(status, **changes):
    job_id = job_in(status, **changes)
    Job.objects.filter(id=job_id).update(created_at=LONG_AGO, run_at=LONG_AGO)
    Job.objects.filter(id=job_id, finished_at__isnull=False).update(finished_at=LONG_AGO)
    return job_id


@pytest.mark.parametrize("status", [Status.COMPLETED, Status.CANCELLED])
def test_what_ended_long_ago_goes(status):
    old(status)

    assert 1 == pruned()
    assert not Job.objects.exists()


@pytest.mark.parametrize("status", [status for status in Status if status not in {"completed", "cancelled"}])
def test_what_waits_runs_or_needs_a_person_stays_however_old(status):
    job_id = old(status)

    assert 0 == pruned()
    assert [job_id] == list(Job.objects.values_list("id", flat=True))


@pytest.mark.parametrize("status", [Status.COMPLETED, Status.CANCELLED])
def test_what_ended_lately_stays(status):
    job_in(status)

    assert 0 == pruned()


def test_its_attempts_go_with_a_job_and_those_of_others_stay():
    job_id, me = job(), worker()
    settled(me, end(claim(me), AttemptOutcome.WORKER_LOST))
    settled(me, end(claim(me)))
    stays = job_in(Status.RETRYING)
    Job.objects.filter(id=job_id).update(finished_at=LONG_AGO)

    pruned()

    assert {stays} == set(JobAttempt.objects.values_list("job_id", flat=True))


def test_no_more_than_asked_for_goes_and_the_oldest_first():
    young, oldest = old(Status.COMPLETED), old(Status.COMPLETED)
    Job.objects.filter(id=young).update(finished_at=LONG_AGO + timedelta(days=1))

    assert 1 == pruned(limit=1)
    assert [young] == list(Job.objects.values_list("id", flat=True))
    assert oldest != young


def test_finished_jobs_stay_counted():
    old(Status.COMPLETED)
    pruned()

    assert 1 == selectors.by_status()["completed"]


@pytest.mark.django_db(transaction=True)
def test_a_row_that_somebody_holds_is_left_for_the_next_time(held_by):
    job_id = old(Status.COMPLETED)

    with held_by(job_id, strength="KEY SHARE"):
        assert 0 == pruned()
    assert 1 == pruned()


def test_old_refused_writes_go():
    now = datetime(2999, 1, 1, tzinfo=UTC)
    for at in (LONG_AGO, now):
        StaleWrite.objects.create(job_id=uuid.uuid4(), fence=1, outcome="completed", at=at)

    assert 1 == prune.prune_ledger(on_django(), keep=WEEK, limit=10).get()
    assert [now] == list(StaleWrite.objects.values_list("at", flat=True))


def test_workers_that_ended_long_ago_go_unless_they_hold_something():
    job()
    alive, gone, holding = worker(), worker(), worker()
    claim(holding)
    for each in (gone, holding):
        presence.end(on_django(), worker=each, reason="test")
    Worker.objects.filter(ended_at__isnull=False).update(ended_at=LONG_AGO)

    assert 1 == prune.prune_workers(on_django(), keep=WEEK).get()
    assert {alive, holding} == set(Worker.objects.values_list("id", flat=True))


def tally(minute, *, worker_id=None, event="completed", count=1):
    Tally.objects.create(
        minute=minute, worker_id=worker_id or uuid.uuid4(), type="a.b", queue="q", event=event, count=count, seconds=0.5)


def sums():
    return {each.event: (each.count, each.seconds) for each in selectors.endings()}


def test_compaction_keeps_the_sums():
    for number in range(200):
        tally(LONG_AGO + timedelta(minutes=number), event=("completed", "failed")[number % 2], count=number)
    before = sums()

    compacted = prune.compact_tallies(on_django(), keep=WEEK, unit="hour").get()

    assert 200 == compacted
    assert before == sums()
    assert 8 == Tally.objects.count()   # four hours, two events


def test_hours_become_days_and_the_sums_stay():
    for number in range(48):
        tally(LONG_AGO + timedelta(hours=number, minutes=7))
    before = sums()
    for unit in ("hour", "hour", "day", "day"):
        prune.compact_tallies(on_django(), keep=WEEK, unit=unit).get()
        assert before == sums()

    assert [LONG_AGO, LONG_AGO + timedelta(days=1)] == list(Tally.objects.order_by("minute").values_list("minute", flat=True))


def test_what_is_merged_already_is_not_touched_again():
    tally(LONG_AGO)
    prune.compact_tallies(on_django(), keep=WEEK, unit="hour").get()

    assert 0 == prune.compact_tallies(on_django(), keep=WEEK, unit="hour").get()


def test_a_late_tally_joins_its_merged_hour():
    tally(LONG_AGO, count=2)
    prune.compact_tallies(on_django(), keep=WEEK, unit="hour").get()
    tally(LONG_AGO + timedelta(minutes=5), count=3)

    prune.compact_tallies(on_django(), keep=WEEK, unit="hour").get()

    assert [5] == list(Tally.objects.values_list("count", flat=True))


def test_what_is_fresh_is_not_merged():
    job_in(Status.COMPLETED)

    assert 0 == prune.compact_tallies(on_django(), keep=WEEK, unit="hour").get()
