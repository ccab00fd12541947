"""What silent workers held comes back, once, under no fence; nothing else does."""

import json
from datetime import UTC, datetime

import pytest
from django.db import connection

from apps.jobs import selectors
from apps.jobs.lifecycle import AttemptOutcome, Status
from apps.jobs.models import StaleWrite, Worker
from apps.jobs.transitions import presence, rescue, settle
from apps.jobs.transitions.statement import on_django
from tests.support.factories import (
    RESCUE_CAP,
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

ERROR = json.dumps({"class": "WorkerLost", "message": "its worker fell silent", "traceback": ""})
EVER, PAST = datetime(2999, 1, 1, tzinfo=UTC), datetime(2001, 1, 1, tzinfo=UTC)




def lapse(me):
    Worker.objects.filter(id=me).update(lease_until=PAST)


def ended(*, until=EVER):
    return rescue.end_silent_workers(on_django(), until=until).get()


def rescued(*, limit=100, cap=RESCUE_CAP, execute=None):
    return rescue.rescue(execute or on_django(), rescue_cap=cap, limit=limit, error=ERROR).get()


def test_a_worker_whose_lease_ended_is_marked_and_its_jobs_come_back():
    job_id, me = job(), worker()
    got = claim(me)
    lapse(me)

    assert [me] == ended()
    assert [rescue.Rescued(job_id, "default", "queued")] == rescued()
    found = row(job_id)
    assert (Status.QUEUED, None, None, 1, 0) == (
        found.status, found.fence, found.worker_id, found.rescues, found.failures)
    assert "WorkerLost" == found.error["class"]
    assert [(1, got.fence, me, "worker_lost")] == [
        (each.number, each.fence, each.worker, each.outcome) for each in selectors.attempts(job_id)]


def test_what_a_silent_worker_tells_before_anybody_else_has_the_job_stands_in_the_ledger():
    job()
    me = worker()
    got = claim(me)
    lapse(me)
    ended()
    rescued()

    assert [(got.id, got.fence)] == settled(me, end(got)).stale
    assert [(got.fence, me)] == list(StaleWrite.objects.values_list("fence", "worker_id"))


def test_a_worker_that_was_seen_by_a_clock_which_has_gone_back_since_is_ended_like_one_whose_lease_is_over():
    alive, dead = worker(), worker()
    Worker.objects.filter(id=dead).update(seen_at=EVER, lease_until=EVER)

    assert [dead] == ended()
    assert None is Worker.objects.get(id=alive).ended_at


def test_a_worker_that_renews_keeps_its_jobs():
    job_id, me = job(), worker()
    claim(me)

    assert ([], []) == (ended(), rescued())
    assert Status.RUNNING == row(job_id).status


def test_a_worker_that_was_declared_dead_cannot_come_back():
    job(), lapse(me := worker())
    ended()

    assert not presence.beat(on_django(), worker=me, lease_seconds=30, queues=["default"]).get()
    assert [] == claims(me)


def test_a_rescue_that_a_stalled_server_executes_late_ends_nobody():
    """`until` is the caller's last look at the database's clock and a little more; the workers had no chance to renew."""
    lapse(me := worker())

    assert [] == ended(until=PAST)
    assert [me] == ended(until=EVER)


def test_without_its_bound_a_late_rescue_ends_a_living_worker(monkeypatch):
    lapse(me := worker())
    bound = "AND clock_timestamp() < %(until)s"
    assert bound in rescue._END
    monkeypatch.setattr(rescue, "_END", rescue._END.replace(bound, ""))

    assert [me] == ended(until=PAST)


def test_a_second_rescue_finds_nothing_and_charges_nothing():
    job_id, me = job(), worker()
    claim(me)
    lapse(me)
    ended()
    rescued()

    assert ([], []) == (ended(), rescued())
    assert 1 == row(job_id).rescues


def test_a_job_of_a_worker_that_has_no_row_comes_back():
    job_id, me = job(), worker()
    claim(me)
    Worker.objects.all().delete()

    assert [job_id] == [each.id for each in rescued()]


def test_only_the_lost_workers_jobs_come_back():
    ids, lost, well = jobs(4), worker(), worker()
    taken = [*claims(lost, limit=2), *claims(well, limit=2)]
    lapse(lost)
    ended()

    assert {got.id for got in taken[:2]} == {str(each.id) for each in rescued()}
    assert {got.id for got in taken[2:]} == {str(each) for each in ids if row(each).status == Status.RUNNING}


def test_a_job_that_loses_its_worker_too_often_ends_as_a_dead_letter():
    job_id, statuses = job(max_attempts=1), []
    for _ in range(RESCUE_CAP + 1):
        claim(me := worker())
        lapse(me)
        ended()
        statuses += [each.status for each in rescued()]

    found = row(job_id)
    assert ["queued"] * RESCUE_CAP + ["dead_letter"] == statuses
    assert (RESCUE_CAP + 1, 0, "WorkerLost") == (found.rescues, found.failures, found.error["class"])
    assert found.finished_at is not None
    assert 1 == selectors.by_status()["dead_letter"]


def test_rescues_and_losses_of_a_child_share_one_cap():
    job_id, me = job(), worker()
    for _ in range(RESCUE_CAP):
        settled(me, end(claim(me), AttemptOutcome.WORKER_LOST, error=ERROR))
    claim(me)
    lapse(me)
    ended()
    rescued()

    assert Status.DEAD_LETTER == row(job_id).status


def test_a_rescue_takes_no_more_than_asked_for_and_leaves_the_rest_to_the_next():
    jobs(5)
    claims(me := worker())
    lapse(me)
    ended()

    assert [3, 2, 0] == [len(rescued(limit=3)) for _ in range(3)]


@transactional
def test_a_job_whose_handler_is_in_its_transaction_is_not_rescued_and_the_rescue_does_not_wait(other):
    held, free = jobs(2)
    me = worker()
    fences = {got.id: got.fence for got in claims(me)}
    lapse(me)
    with other.transaction():
        assert settle.hold(other.execute, job_id=held, fence=fences[str(held)])
        ended()
        assert [free] == [each.id for each in rescued()]
        assert settle.complete(other.execute, job_id=held, fence=fences[str(held)], result="1")

    assert [] == rescued()
    assert (Status.COMPLETED, 0) == (row(held).status, row(held).rescues)


@transactional
def test_a_job_whose_handler_rolled_back_is_rescued_next(other):
    job_id, me = job(), worker()
    got = claim(me)
    lapse(me)
    ended()
    with other.transaction(force_rollback=True):
        assert settle.hold(other.execute, job_id=job_id, fence=got.fence)
        assert [] == rescued()

    assert [job_id] == [each.id for each in rescued()]


@transactional
def test_two_dispatchers_rescue_each_job_once(other):
    jobs(10)
    claims(me := worker())
    lapse(me)
    ended()
    with own_connection() as mine, other.transaction():
        first = rescued(limit=6, execute=other.execute)
        second = rescued(execute=mine.execute)

    assert (6, 4) == (len(first), len(second))
    assert {1} == {row(each.id).rescues for each in first + second}


def test_a_rescue_of_many_workers_looks_at_no_finished_row():
    jobs(300)
    me = worker()
    for got in claims(me, limit=300):
        settled(me, end(got))
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        params = {"rescue_cap": 3, "limit": 10, "error": "{}", "tally": me}
        cursor.execute(f"EXPLAIN {rescue._RESCUE}", params)
        plan = "\n".join(line for (line,) in cursor.fetchall())

    assert "Seq Scan on job " not in plan
    assert "job_held" in plan
