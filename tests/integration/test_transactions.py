"""The handler's own transaction: its effect and the job's completion are one commit, under the fence."""

import json
import threading
import uuid

import pytest
from django.contrib.auth.models import Group
from django.db import transaction

from apps.jobs import selectors
from apps.jobs.lifecycle import AttemptOutcome, Status
from apps.jobs.transitions import cancel, presence, rescue, settle
from apps.jobs.transitions.statement import on_django
from tests.support.factories import (
    CANCELLED,
    RESCUE_CAP,
    claim,
    end,
    job,
    own_connection,
    row,
    settled,
    worker,
)
from tests.support.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)

ERROR = json.dumps({"class": "WorkerLost", "message": "", "traceback": ""})
EFFECT = "INSERT INTO auth_group (name) VALUES (%(name)s)"


class Crash(Exception):
    """The worker dies here."""


def effect(got, *, execute=None):
    """Do once what must be done once: the name says by which attempt."""
    (execute or on_django())(EFFECT, {"name": f"by fence {got.fence}"})


def effects():
    return list(Group.objects.filter(name__startswith="by fence ").order_by("id").values_list("name", flat=True))


def holds(got, *, execute=None):
    return settle.hold(execute or on_django(), job_id=uuid.UUID(got.id), fence=got.fence)


def completes(got, *, result=None, execute=None):
    return settle.complete(execute or on_django(), job_id=uuid.UUID(got.id), fence=got.fence, result=result)


def lost(me):
    """Declare a worker dead and take back what it held."""
    presence.end(on_django(), worker=me, reason="test")
    return rescue.rescue(on_django(), rescue_cap=RESCUE_CAP, limit=10, error=ERROR).get()


def begun():
    job_id, me = job(), worker()
    return job_id, me, claim(me)


def test_the_effect_and_the_completion_are_one_commit():
    job_id, _, got = begun()

    with transaction.atomic():
        assert holds(got)
        effect(got)
        assert completes(got, result='{"sent": true}')

    assert (Status.COMPLETED, {"sent": True}) == (row(job_id).status, row(job_id).result)
    assert [f"by fence {got.fence}"] == effects()


def test_a_crash_before_the_commit_leaves_neither():
    job_id, me, got = begun()

    def run():
        with transaction.atomic():
            holds(got)
            effect(got)
            completes(got)
            raise Crash

    with pytest.raises(Crash):
        run()
    assert (Status.RUNNING, []) == (row(job_id).status, effects())
    assert [job_id] == [each.id for each in lost(me)]


def test_however_often_its_worker_dies_the_effect_is_there_once():
    job_id, fences = job(), []

    def attempt(*, dies_before, dies_after):
        got = claim(me := worker())
        fences.append(got.fence)
        with transaction.atomic():
            assert holds(got)
            effect(got)
            assert completes(got)
            if dies_before:
                raise Crash
        if dies_after:
            lost(me)

    with pytest.raises(Crash):
        attempt(dies_before=True, dies_after=False)
    lost(row(job_id).worker_id)
    with pytest.raises(Crash):
        attempt(dies_before=True, dies_after=False)
    lost(row(job_id).worker_id)
    attempt(dies_before=False, dies_after=True)

    assert [f"by fence {fences[-1]}"] == effects()
    assert (Status.COMPLETED, 3, 2) == (row(job_id).status, row(job_id).attempt, row(job_id).rescues)


def test_an_attempt_that_lost_its_job_cannot_begin():
    job_id, me, old = begun()
    lost(me)
    new = claim(worker())

    with transaction.atomic():
        assert not holds(old)
        assert not completes(old)
    assert holds(new)
    assert Status.RUNNING == row(job_id).status


def test_without_the_fence_two_attempts_write_the_effect(monkeypatch):
    """The same two attempts as above, with the condition taken out: both believe that they won."""
    condition = "AND fence = %(fence)s"
    for name in ("_LOCK", "_COMPLETE"):
        assert condition in getattr(settle, name)
        monkeypatch.setattr(settle, name, getattr(settle, name).replace(condition, ""))
    _, me, old = begun()
    lost(me)
    new = claim(worker())

    for each in (old, new):
        with transaction.atomic():
            if holds(each):
                effect(each)
    assert [f"by fence {old.fence}", f"by fence {new.fence}"] == effects()


def test_without_the_rows_lock_a_rescue_comes_between_and_the_effect_is_lost_to_its_own_attempt():
    """A plain look at the fence proves nothing about the commit: `complete` says so, and the effect is undone."""
    job_id, me, got = begun()

    with transaction.atomic():
        assert got.fence == row(job_id).fence   # looked at, and not held
        effect(got)
        with own_connection() as dispatcher:
            presence.end(dispatcher.execute, worker=me, reason="test")
            assert rescue.rescue(dispatcher.execute, rescue_cap=3, limit=10, error=ERROR).get()
        assert not completes(got)
        transaction.set_rollback(True)

    assert [] == effects()


def test_whoever_would_take_the_job_meanwhile_passes_over_it_and_does_not_wait():
    job_id, me, got = begun()

    with transaction.atomic(), own_connection() as dispatcher:
        assert holds(got)
        presence.end(dispatcher.execute, worker=me, reason="its lease ended")
        assert [] == rescue.rescue(dispatcher.execute, rescue_cap=3, limit=10, error=ERROR).get()
        assert [(got.id, got.fence)] == settled(me, end(got), execute=dispatcher.execute).held
        effect(got)
        assert completes(got)

    assert [] == lost(me)
    assert (Status.COMPLETED, 0) == (row(job_id).status, row(job_id).rescues)
    assert [f"by fence {got.fence}"] == effects()


def test_a_cancellation_waits_for_the_commit_and_finds_the_job_completed():
    job_id, _, got = begun()
    answers = []

    def ask():
        with own_connection() as person:
            pids.append(person.info.backend_pid)
            answers.append(cancel.cancel(person.execute, ids=[job_id], error=CANCELLED).get())

    pids: list[int] = []
    asking = threading.Thread(target=ask)
    with transaction.atomic(), own_connection() as looking:
        assert holds(got)
        asking.start()
        until(lambda: pids and looking.execute(
            "SELECT FROM pg_locks WHERE pid = %s AND NOT granted", [pids[0]]).fetchall(), message="it waits")
        assert completes(got)
    asking.join()

    assert [[]] == answers
    assert (Status.COMPLETED, None) == (row(job_id).status, row(job_id).cancel_requested_at)


def test_a_completion_is_counted_in_its_own_commit():
    """Its worker may die before it can tell anybody."""
    _, _, got = begun()

    with transaction.atomic():
        completes(got)

    assert {"completed": 1} == {name: count for name, count in selectors.by_status().items() if count}


def test_a_completion_that_is_rolled_back_is_not_counted():
    _, _, got = begun()

    with transaction.atomic():
        completes(got)
        transaction.set_rollback(True)

    assert {"running": 1} == {name: count for name, count in selectors.by_status().items() if count}


def test_a_commit_whose_reply_was_lost_is_not_undone_by_what_its_worker_says_then():
    """The handler saw an error at COMMIT and reports a failure, yet the commit stands."""
    job_id, me, got = begun()
    with transaction.atomic():
        effect(got)
        completes(got)

    said = settled(me, end(got, AttemptOutcome.FAILED, error=ERROR, delay_seconds=1.0))

    assert ([], []) == (said.stale, said.held)
    assert (Status.COMPLETED, 0) == (row(job_id).status, row(job_id).failures)


def test_two_handlers_that_complete_at_once_do_not_wait_for_each_others_count():
    """Each thread counts under its own name: an open transaction holds up nobody else's."""
    first, second = begun()[2], begun()[2]
    ended = []

    def other():
        with own_connection() as mine:
            mine.execute("SET lock_timeout = '5s'")
            ended.append(completes(second, execute=mine.execute))

    with transaction.atomic():
        assert completes(first)
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        assert [True] == ended
