"""Claims: who gets what, in which order, and under which fence."""

import json
import threading
import time
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from apps.jobs.lifecycle import AttemptOutcome, Status
from apps.jobs.models import Job
from apps.jobs.transitions import due, pause, presence
from apps.jobs.transitions.fetch import HEAD
from apps.jobs.transitions.statement import on_django
from tests.support import factories
from tests.support.factories import (
    claim,
    claims,
    end,
    job,
    job_in,
    jobs,
    own_connection,
    row,
    settled,
    worker,
)

transactional = pytest.mark.django_db(transaction=True)
pytestmark = pytest.mark.django_db


def at(second: int) -> datetime:
    return datetime(2001, 1, 1, tzinfo=UTC) + timedelta(seconds=second)


def test_a_claimed_job_runs_under_a_fence_for_its_worker():
    job_id, me = job(payload='{"a": [1]}'), worker()

    got = claim(me)
    found = row(job_id)

    assert (str(job_id), 1, {"a": [1]}) == (got.id, got.attempt, json.loads(got.payload))
    assert (Status.RUNNING, me, got.fence, 1) == (found.status, found.worker_id, found.fence, found.attempt)
    assert found.started_at is not None


def test_a_claim_before_its_moment_says_how_long_to_hold_it_back_and_counts_from_the_moment():
    job_id, ready, me = job(delay_seconds=30), job(), worker()
    due.move(on_django(), limit=10, lead_seconds=60).get()

    since = time.monotonic()
    first, second = claims(me)

    assert [str(ready), str(job_id)] == [first.id, second.id]
    assert first.not_before is None
    assert since + 25 < second.not_before <= time.monotonic() + 30
    assert row(job_id).run_at == row(job_id).started_at


def test_a_ready_job_whose_moment_somebody_has_moved_far_away_is_not_held_back():
    job_id, me = job(), worker()
    Job.objects.filter(id=job_id).update(run_at=datetime.now(UTC) + timedelta(hours=1))

    assert claim(me).not_before is None


def test_each_claim_of_a_job_has_a_greater_fence():
    job(max_attempts=100)
    me, fences = worker(), []

    for _ in range(5):
        got = claim(me)
        fences.append(got.fence)
        settled(me, end(got, AttemptOutcome.WORKER_LOST), rescue_cap=100)

    assert sorted(set(fences)) == fences


def test_claims_come_by_priority_then_age_then_id():
    same = sorted(uuid.uuid4() for _ in range(2))
    last = job(priority=9, run_at=at(0))
    young = job(priority=5, run_at=at(2))
    twins = [job(priority=5, run_at=at(1), id=twin) for twin in reversed(same)]
    first = job(priority=0, run_at=at(3))

    assert [str(each) for each in [first, *reversed(twins), young, last]] == [got.id for got in claims(worker())]


def test_no_more_than_asked_for_is_claimed():
    jobs(5)

    assert 2 == len(claims(worker(), limit=2))
    assert 3 == Job.objects.filter(status=Status.QUEUED).count()


@pytest.mark.parametrize("status", [status for status in Status if status != Status.QUEUED])
def test_only_queued_jobs_are_claimed(status):
    job_in(status)

    assert [] == claims(worker())


def test_another_queue_is_left_alone():
    job(queue="mail")

    assert [] == claims(worker(), queue="default")


def test_a_type_or_version_that_this_worker_does_not_know_is_left_to_those_that_do():
    unknown, newer, known = job(type="test.unknown"), job(payload_version=2), job()

    assert [str(known)] == [got.id for got in claims(worker(), types=["test.echo@1"])]
    assert [Status.QUEUED] * 2 == [row(unknown).status, row(newer).status]
    assert [0, 0] == [row(unknown).attempt, row(newer).attempt]


def test_unknown_jobs_at_the_head_hide_nothing_behind_them():
    jobs(50, type="test.unknown", priority=0)
    known = job(priority=9)

    assert [str(known)] == [got.id for got in claims(worker(), limit=1)]


def test_a_paused_queue_is_not_claimed_from_until_it_is_resumed():
    job_id, me = job(), worker()
    pause.pause(on_django(), name="default", by="me", reason="repair")

    assert [] == claims(me)
    assert pause.resume(on_django(), name="default").get()
    assert [str(job_id)] == [got.id for got in claims(me)]


def test_a_fetch_goes_on_behind_its_position():
    ids = [job(run_at=at(1), id=each) for each in sorted(uuid.uuid4() for _ in range(4))]
    me = worker()

    first = claims(me, limit=2)
    rest = claims(me, after=first[-1].position)

    assert [str(each) for each in ids] == [got.id for got in first + rest]


def test_what_lies_before_the_position_is_found_from_the_head_only():
    me = worker()
    job(run_at=at(10))
    position = claim(me).position
    urgent = job(priority=0)

    assert [] == claims(me, after=position)
    assert [str(urgent)] == [got.id for got in claims(me, after=HEAD)]


def test_a_worker_that_has_ended_gets_nothing():
    job_id, me = job(), worker()
    presence.end(on_django(), worker=me, reason="test")

    assert [] == claims(me)
    assert Status.QUEUED == row(job_id).status


def test_a_worker_without_a_row_gets_nothing():
    job()

    assert [] == claims(uuid.uuid4())


@transactional
def test_a_row_that_somebody_holds_is_passed_over_and_found_later(held_by):
    first, second = job(run_at=at(0)), job(run_at=at(1))
    me = worker()

    with held_by(first):
        assert [str(second)] == [got.id for got in claims(me)]
    assert [str(first)] == [got.id for got in claims(me)]


@transactional
def test_two_workers_share_a_queue_and_no_job():
    ids = jobs(400)
    taken: dict[int, list[str]] = {}

    def take(number: int) -> None:
        with own_connection(f"worker-{number}") as mine:
            me = worker(execute=mine.execute)
            taken[number] = []
            while got := claims(me, execute=mine.execute, limit=7):
                taken[number] += [each.id for each in got]

    threads = [threading.Thread(target=take, args=[number]) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    everything = [each for part in taken.values() for each in part]
    assert sorted(map(str, ids)) == sorted(everything)
    assert {1} == set(Job.objects.values_list("attempt", flat=True))


@transactional
def test_a_claim_that_races_the_end_of_its_worker_is_taken_back(other, third):
    """The claim's statement saw its worker alive; by its commit the worker had ended. The next rescue finds it."""
    from apps.jobs.transitions import rescue

    job_id, me = job(), worker(lease_seconds=-1)
    with other.transaction():
        got = claim(me, execute=other.execute)
        ended = rescue.end_silent_workers(third.execute, until=datetime(2999, 1, 1, tzinfo=UTC)).get()
        early = rescue.rescue(third.execute, rescue_cap=3, limit=10, error="{}").get()
    late = rescue.rescue(third.execute, rescue_cap=3, limit=10, error="{}").get()

    assert ([me], []) == (ended, early)
    assert [(job_id, "queued")] == [(each.id, each.status) for each in late]
    assert [(got.id, got.fence)] == settled(me, end(got)).stale


def test_a_claim_forgets_the_progress_of_the_attempt_before():
    job_id, me = job(), worker()
    settled(me, end(claim(me), AttemptOutcome.WORKER_LOST))
    Job.objects.filter(id=job_id).update(progress={"done": 5})

    claim(me)

    assert row(job_id).progress is None


def test_a_claim_says_all_that_an_attempt_needs():
    job(max_attempts=3, timeout_seconds=1.5, request_id="r-1", queue="mail", priority=2, type="test.other")

    got = claim(worker(), queue="mail", types=["test.other@1"])

    assert ("test.other", "mail", 2, 3, 1.5, "r-1", 0, 0) == (
        got.type, got.queue, got.priority, got.max_attempts, got.timeout_seconds, got.request_id, got.failures, got.rescues)


def test_the_factories_know_which_job_they_claim():
    ids = jobs(3)

    assert str(ids[1]) == factories.claim_this(ids[1], worker()).id
