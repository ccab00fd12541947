"""Of the jobs that ask for one lock only the head is ready; whoever ends it passes its place on, oldest first."""

import threading

import pytest
from django.db import transaction

from apps.jobs import services
from apps.jobs.lifecycle import AttemptOutcome, Status
from apps.jobs.models import Job
from apps.jobs.scheduling.dispatcher import Dispatcher
from apps.jobs.transitions import cancel, due, heads, pause, rescue, retry
from apps.jobs.transitions.statement import on_django
from tests.support import waiting
from tests.support.factories import (
    CANCELLED,
    TYPE,
    claim,
    claims,
    clean_connection,
    end,
    job,
    jobs,
    registered,
    row,
    settled,
    worker,
)

transactional = pytest.mark.django_db(transaction=True)
pytestmark = pytest.mark.django_db
KEY = "payment:7"


def heads_of(key=KEY):
    return list(Job.objects.filter(lock_key=key, behind=False, finished_at=None).values_list("id", flat=True))


def ended(me, held, outcome=AttemptOutcome.COMPLETED, **changes):
    """Settle as a worker does: it passes the place on once it has given the lock back."""
    settled(me, end(held, outcome, **changes))
    return heads.pass_on(on_django(), [KEY]).get()


def test_of_one_key_only_the_oldest_is_fetched():
    ids, me = jobs(3, lock_key=KEY), worker()
    other = job(lock_key="payment:8")
    free = job()

    got = claims(me)

    assert [str(ids[0]), str(other), str(free)] == [each.id for each in got]
    assert [KEY, "payment:8", None] == [each.lock_key for each in got]
    assert [] == claims(me)


@pytest.mark.parametrize("outcome", [
    AttemptOutcome.COMPLETED, AttemptOutcome.FAILED, AttemptOutcome.DISCARDED, AttemptOutcome.CANCELLED,
    AttemptOutcome.SNOOZED,
])
def test_an_end_passes_the_place_on_to_the_oldest(outcome):
    ids, me = jobs(3, lock_key=KEY), worker()

    ready = ended(me, claim(me), outcome, delay_seconds=60.0, error=CANCELLED)

    assert {"default": 1} == ready
    assert [ids[1]] == heads_of()
    assert str(ids[1]) == claim(me).id


@pytest.mark.parametrize("outcome", [AttemptOutcome.RELEASED, AttemptOutcome.STOPPED, AttemptOutcome.LOCK_LOST])
def test_who_goes_back_to_the_queue_keeps_its_place(outcome):
    ids, me = jobs(2, lock_key=KEY), worker()

    ended(me, claim(me), outcome, error=CANCELLED)

    assert [ids[0]] == heads_of()
    assert str(ids[0]) == claim(me).id


def test_a_failed_job_comes_back_behind_those_that_went_on_without_it():
    ids, me = jobs(2, lock_key=KEY), worker()
    ended(me, claim(me), AttemptOutcome.FAILED, delay_seconds=0.0, error=CANCELLED)
    second = claim(me)

    moved = due.move(on_django(), limit=10).get()

    assert str(ids[1]) == second.id
    assert {} == {queue: count for queue, count in moved.items() if count}
    assert (Status.QUEUED, True) == (row(ids[0]).status, row(ids[0]).behind)
    assert {"default": 1} == ended(me, second)
    assert str(ids[0]) == claim(me).id


def test_a_due_job_whose_key_nobody_has_is_ready_at_once():
    job_id = job(lock_key=KEY, delay_seconds=3600)
    retry.run(on_django(), ids=[job_id]).get()
    later = job(lock_key="payment:8", delay_seconds=0.05)
    waiting.until(lambda: due.move(on_django(), limit=10).get() == {"default": 1})

    assert [job_id] == heads_of()
    assert [later] == heads_of("payment:8")


def test_a_head_whose_lock_is_busy_is_put_off_uncharged_and_keeps_its_place():
    ids, me = jobs(2, lock_key=KEY), worker()

    ended(me, claim(me), AttemptOutcome.LOCK_BUSY, delay_seconds=60.0, error=CANCELLED)

    found = row(ids[0])
    assert [ids[0]] == heads_of()
    assert (Status.SCHEDULED, 0, 0, None) == (found.status, found.attempt, found.failures, found.started_at)
    assert "Cancelled" == found.error["class"]
    assert 0 == found.attempts.count()
    assert [] == claims(me)


def test_of_two_heads_the_one_that_does_not_get_the_lock_stands_back_in_line():
    ids, me = jobs(2, lock_key=KEY), worker()
    Job.objects.filter(id=ids[1]).update(behind=False)   # as two inserts at once leave it
    first, second = claims(me)

    ended(me, second, AttemptOutcome.LOCK_BUSY, delay_seconds=60.0)

    assert (Status.QUEUED, True) == (row(second.id).status, row(second.id).behind)
    assert [ids[0]] == heads_of()
    assert {"default": 1} == ended(me, first)
    assert str(ids[1]) == claim(me).id


def test_a_cancelled_head_passes_its_place_on_and_one_behind_has_none():
    ids = jobs(3, lock_key=KEY)
    cancel.cancel(on_django(), ids=[ids[1]], error=CANCELLED).get()
    assert [ids[0]] == heads_of()

    cancel.cancel(on_django(), ids=[ids[0]], error=CANCELLED).get()

    assert [ids[2]] == heads_of()


def test_a_rescued_head_keeps_its_place_and_one_out_of_rescues_passes_it_on():
    ids = jobs(2, lock_key=KEY)
    claim(worker())
    gone = rescued_from_its_worker(ids[0])

    assert [Status.QUEUED] == [each.status for each in gone]
    assert [ids[0]] == heads_of()

    claim(worker())
    gone = rescued_from_its_worker(ids[0], cap=0)

    assert [Status.DEAD_LETTER] == [each.status for each in gone]
    assert [ids[1]] == heads_of()


def rescued_from_its_worker(job_id, *, cap=3):
    holder = row(job_id).worker_id
    on_django()("UPDATE job_worker SET ended_at = clock_timestamp() WHERE id = %(id)s", {"id": holder})
    return rescue.rescue(on_django(), rescue_cap=cap, limit=10, error=CANCELLED).get()


def test_a_retried_job_stands_behind_the_head_or_takes_the_place_that_nobody_has():
    ids, me = jobs(2, lock_key=KEY), worker()
    ended(me, claim(me))

    retry.retry(on_django(), ids=[ids[0]], attempts={TYPE: 1}).get()
    assert [ids[1]] == heads_of()

    ended(me, claim(me))
    assert [ids[0]] == heads_of()
    ended(me, claim(me))
    retry.retry(on_django(), ids=[ids[1]], attempts={TYPE: 1}).get()
    assert [ids[1]] == heads_of()


def test_enqueue_names_the_lock_and_many_of_one_key_have_one_head():
    with registered(lock="payment:{n}"):
        first = services.enqueue(TYPE, {"n": 7})
        services.enqueue_many(TYPE, [{"n": 7}, {"n": 8}, {"n": 8}])

    assert [first] == heads_of()
    assert 1 == len(heads_of("payment:8"))
    assert {KEY: 2, "payment:8": 2} == {key: Job.objects.filter(lock_key=key).count() for key in (KEY, "payment:8")}


@transactional
def test_a_key_whose_head_ended_unseen_gets_another_at_the_next_sweep(other):
    """The insert sees the head that is just ending, the end does not see the insert."""
    me = worker()
    job(lock_key=KEY)
    held = claim(me)
    with other.transaction():
        late = job(execute=other.execute, lock_key=KEY)
        ended(me, held)
    assert [] == heads_of()
    dispatcher = Dispatcher()

    try:
        dispatcher.run_once()
    finally:
        dispatcher.close()

    assert [late] == heads_of()


@transactional
def test_without_the_sweep_such_a_key_would_wait_for_ever(other, monkeypatch):
    monkeypatch.setattr(Dispatcher, "_sweep", lambda self, ready: None)
    me = worker()
    job(lock_key=KEY)
    held = claim(me)
    with other.transaction():
        job(execute=other.execute, lock_key=KEY)
        ended(me, held)
    dispatcher = Dispatcher()

    try:
        dispatcher.run_once()
        dispatcher.run_once()
    finally:
        dispatcher.close()

    assert [] == heads_of()


def paused(queue):
    pause.pause(on_django(), name=queue, by="", reason="")


def sweep():
    return heads.sweep(on_django()).get().ready


def test_a_head_in_a_paused_queue_stands_back_for_the_next_in_an_open_one():
    stopped = job(lock_key=KEY, queue="slow")
    going = job(lock_key=KEY)
    paused("slow")

    assert {"default": 1} == sweep()
    assert [going] == heads_of()
    assert (Status.QUEUED, True) == (row(stopped).status, row(stopped).behind)
    assert {} == sweep()


def test_the_place_is_passed_on_to_the_oldest_in_an_open_queue():
    first = job(lock_key=KEY)
    job(lock_key=KEY, queue="slow")
    going, me = job(lock_key=KEY), worker()
    paused("slow")

    assert {"default": 1} == ended(me, claim(me))
    assert [going] == heads_of()
    assert first not in heads_of()


def test_a_job_of_a_resumed_queue_has_its_turn_when_the_place_is_free():
    stopped = job(lock_key=KEY, queue="slow")
    paused("slow")
    job(lock_key=KEY)
    sweep()
    me = worker()
    held = claim(me)
    pause.resume(on_django(), name="slow").get()
    assert {} == sweep()

    assert {"slow": 1} == ended(me, held)
    assert [stopped] == heads_of()


def test_while_all_queues_of_a_key_are_paused_it_keeps_its_head_and_after_that_goes_on():
    first, _ = jobs(2, lock_key=KEY, queue="slow")
    paused("slow")
    late = job(lock_key="payment:8", queue="slow")

    assert {} == sweep()
    assert ([first], []) == (heads_of(), heads_of("payment:8"))
    pause.resume(on_django(), name="slow").get()
    assert {"slow": 1} == sweep()
    assert [late] == heads_of("payment:8")


@transactional
def test_a_paused_head_that_somebody_edits_keeps_its_place_so_that_there_are_not_two(held_by):
    stopped = job(lock_key=KEY, queue="slow")
    paused("slow")
    job(lock_key=KEY)
    with held_by(stopped):
        assert {} == sweep()
        assert [stopped] == heads_of()

    assert {"default": 1} == sweep()


def test_a_sweep_of_many_keys_goes_on_where_the_last_one_ended():
    keys = [f"payment:{number}" for number in range(5)]
    for key in keys:
        job(lock_key=key)
    Job.objects.update(behind=True)   # as races leave them
    after, seen = "", []
    for _ in range(3):
        swept = heads.sweep(on_django(), after=after, limit=2).get()
        after = swept.after
        seen.append((swept.ready.total(), after))

    assert [(2, "payment:1"), (2, "payment:3"), (1, "")] == seen
    assert [1] * 5 == [len(heads_of(key)) for key in keys]


@transactional
def test_who_is_next_but_held_by_an_edit_is_passed_over_and_nobody_waits(held_by):
    ids, me = jobs(3, lock_key=KEY), worker()
    held = claim(me)

    with held_by(ids[1]):
        assert {"default": 1} == ended(me, held)

    assert [ids[2]] == heads_of()


@transactional
def test_however_inserts_and_ends_race_each_key_has_a_head_after_a_sweep():
    me, lost = worker(), []

    def insert():
        try:
            for _ in range(20):
                with transaction.atomic():
                    job(lock_key=KEY)
        except Exception as exc:   # noqa: BLE001  told to the test
            lost.append(exc)
        finally:
            clean_connection()

    threads = [threading.Thread(target=insert) for _ in range(3)]
    for thread in threads:
        thread.start()
    done = 0
    while done < 60:
        for held in claims(me):
            ended(me, held)
            done += 1
        if not heads_of():
            heads.sweep(on_django()).get()
    for thread in threads:
        thread.join()

    assert [] == lost
    assert 60 == Job.objects.filter(status=Status.COMPLETED).count()


def test_a_fetch_reads_none_of_those_in_line():
    jobs(2000, lock_key=KEY)
    free, me = job(priority=9), worker()
    on_django()("ANALYZE job", {})
    plan = explained_fetch(me)

    assert "job_ready" in plan
    assert "Rows Removed" not in plan
    assert "NOT behind" not in plan.replace("Index Cond", "")   # found by the index, not filtered after it
    claim(me)
    assert str(free) == claim(me).id


def explained_fetch(me):
    from apps.jobs.transitions import fetch

    sql = fetch._FETCH.partition("UPDATE job j")[0].strip().removeprefix("WITH next AS MATERIALIZED (").rstrip().rstrip(")")
    params = {
        "queue": "default", "priority": -1, "run_at": fetch.HEAD.run_at, "id": fetch.HEAD.id, "types": [f"{TYPE}@1"],
        "worker": me, "limit": 300,
    }
    rows = on_django()(f"EXPLAIN (ANALYZE, BUFFERS OFF, TIMING OFF) {sql}", params).fetchall()
    return "\n".join(line for line, in rows)
