"""A worker's row: one start, one lease, one end; and duties that somebody does."""

import uuid

import pytest
from django.db import connection

from apps.jobs.models import Duty, Worker
from apps.jobs.transitions import cancel, presence
from apps.jobs.transitions.statement import on_django
from tests.support.factories import CANCELLED, claims, jobs, worker

pytestmark = pytest.mark.django_db


def lease_left(worker_id):
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT extract(epoch FROM lease_until - clock_timestamp())::float8 FROM job_worker WHERE id = %s", [worker_id])
        return cursor.fetchone()[0]


def beats(worker_id, *, lease_seconds=30.0):
    return presence.beat(on_django(), worker=worker_id, lease_seconds=lease_seconds, queues=["a", "b"]).get()


def test_a_lease_counts_from_the_databases_clock():
    assert 29 < lease_left(worker(lease_seconds=30)) <= 30


def test_a_heartbeat_renews_the_lease_and_tells_the_queues():
    me = worker(lease_seconds=1)

    assert beats(me)
    assert 29 < lease_left(me) <= 30
    assert ["a", "b"] == Worker.objects.get(id=me).queues


def test_a_worker_that_has_ended_cannot_renew():
    me = worker()
    presence.end(on_django(), worker=me, reason="stopped")
    until = Worker.objects.get(id=me).lease_until

    assert not beats(me)
    assert until == Worker.objects.get(id=me).lease_until


def test_a_worker_that_nobody_knows_cannot_renew():
    assert not beats(uuid.uuid4())


def test_an_end_is_final():
    me = worker()
    presence.end(on_django(), worker=me, reason="first")
    first = Worker.objects.get(id=me).ended_at

    presence.end(on_django(), worker=me, reason="second")

    assert (first, "first") == (Worker.objects.get(id=me).ended_at, Worker.objects.get(id=me).end_reason)


def test_the_roll_is_what_the_database_says_this_worker_holds():
    first, second = jobs(2)
    me, neighbour = worker(), worker()
    mine = claims(me, limit=1)
    claims(neighbour)
    cancel.cancel(on_django(), ids=[first, second], error=CANCELLED).get()

    assert [(mine[0].id, mine[0].fence, True)] == presence.roll(on_django(), worker=me).get()


def test_a_stopping_worker_says_so():
    me = worker()
    presence.stopping(on_django(), worker=me)

    assert Worker.objects.get(id=me).stopping_at is not None


def test_a_sign_of_life_has_an_age():
    assert presence.age(on_django(), name=presence.DISPATCH).get() is None

    presence.sign(on_django(), name=presence.DISPATCH, by="beat")

    assert 0 <= presence.age(on_django(), name=presence.DISPATCH).get() < 5


def test_of_all_who_ask_in_one_period_one_is_told_to():
    turns = [presence.take_turn(on_django(), name="prune", by=str(n), every_seconds=60).get() for n in range(5)]

    assert [True, False, False, False, False] == turns
    assert "0" == Duty.objects.get(name="prune").by


def test_the_next_period_is_somebody_elses():
    presence.take_turn(on_django(), name="prune", by="first", every_seconds=60).get()
    Duty.objects.update(done_at="2001-01-01T00:00:00Z")

    turns = [presence.take_turn(on_django(), name="prune", by="second", every_seconds=60).get() for _ in range(2)]

    assert [True, False] == turns


def test_a_turn_that_was_taken_by_a_clock_which_has_gone_back_since_is_taken_anew():
    presence.take_turn(on_django(), name="prune", by="first", every_seconds=60).get()
    Duty.objects.update(done_at="2999-01-01T00:00:00Z")

    turns = [presence.take_turn(on_django(), name="prune", by="second", every_seconds=60).get() for _ in range(2)]

    assert [True, False] == turns
