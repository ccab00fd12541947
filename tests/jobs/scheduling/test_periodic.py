"""Plain periodic tasks: fired once whatever the number of beats, and never a job as a bare message."""

import json
from datetime import UTC, datetime, timedelta

import pytest
import redis
from celery import current_app
from celery.schedules import schedule
from django.conf import settings
from django.db import OperationalError
from django_celery_beat.models import ClockedSchedule, IntervalSchedule, PeriodicTask, PeriodicTasks

from apps.jobs.scheduling.periodic import PeriodicEntry, PeriodicScheduler
from tests.support.factories import registered

pytestmark = pytest.mark.django_db(transaction=True)
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def sent():
    """Return the names of the tasks that stand in the broker."""
    with redis.Redis.from_url(settings.CELERY_BROKER_URL) as broker:
        broker.flushdb()
        yield lambda: sorted(
            json.loads(message)["headers"]["task"]
            for key in broker.scan_iter() if broker.type(key) == b"list" for message in broker.lrange(key, 0, -1)
        )


@pytest.fixture
def make_beat():
    made = []

    def make():
        made.append(PeriodicScheduler(app=current_app._get_current_object()))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def beat(make_beat):
    return make_beat()


def task(name="reports", *, seconds=3600, last_run_at=LONG_AGO, **fields):
    interval, _ = IntervalSchedule.objects.get_or_create(every=seconds, period="seconds")
    made = PeriodicTask.objects.create(**{"name": name, "task": "plain.task", "interval": interval, **fields})
    PeriodicTask.objects.filter(pk=made.pk).update(last_run_at=last_run_at)
    return made


def test_a_due_task_is_sent_and_its_firing_is_stored(beat, sent):
    row = task()
    beat.pass_once()

    assert ["plain.task"] == sent()
    row.refresh_from_db()
    assert (True, 1) == (row.last_run_at > LONG_AGO, row.total_run_count)


def test_a_task_that_is_not_due_is_not_sent(beat, sent):
    task(last_run_at=datetime.now(UTC))

    assert 0 < beat.pass_once()
    assert [] == sent()


def test_two_beats_that_saw_the_same_row_fire_it_once(make_beat, sent):
    first, second = make_beat(), make_beat()
    task(last_run_at=datetime.now(UTC))
    first.pass_once()
    second.pass_once()   # both hold the row in memory
    for each in (first, second):
        event = each._heap[0]
        event.entry.last_run_at = LONG_AGO   # the hour is over, for both
        each._heap[0] = event._replace(time=0)
    first.pass_once()
    second.pass_once()

    assert ["plain.task"] == sent()
    assert 1 == PeriodicTask.objects.get().total_run_count


def test_without_the_condition_it_would_fire_twice(make_beat, sent, monkeypatch):
    monkeypatch.setattr(PeriodicEntry, "take", lambda self: True)
    test_once = pytest.raises(AssertionError)
    with test_once:
        test_two_beats_that_saw_the_same_row_fire_it_once(make_beat, sent)

    assert ["plain.task", "plain.task"] == sent()


def test_the_beat_that_lost_takes_over_when_the_winner_is_gone(make_beat, sent):
    winner, loser = make_beat(), make_beat()
    task(seconds=1, last_run_at=None)
    loser.pass_once()
    winner.pass_once()
    PeriodicTask.objects.update(last_run_at=datetime.now(UTC) - timedelta(minutes=1))   # the winner fired meanwhile
    loser._heap[0].entry.last_run_at = LONG_AGO
    for _ in range(2):   # loses and reads the row; then finds it due
        loser._heap[0] = loser._heap[0]._replace(time=0)
        loser.pass_once()

    assert ["plain.task"] == sent()


def test_a_firing_whose_answer_was_lost_is_sent_if_it_was_stored(beat, sent, monkeypatch):
    task()
    take = PeriodicEntry.take

    def lose_the_answer(entry):
        take(entry)
        raise OperationalError("the connection is lost after the commit")

    monkeypatch.setattr(PeriodicEntry, "take", lose_the_answer)
    with pytest.raises(OperationalError):
        beat.pass_once()
    assert [] == sent()
    monkeypatch.setattr(PeriodicEntry, "take", take)
    beat.reload()
    beat.pass_once()
    beat.pass_once()

    assert ["plain.task"] == sent()


def test_a_firing_that_was_never_stored_is_made_anew(beat, sent, monkeypatch):
    task()

    def fail(entry):
        raise OperationalError("the connection is lost before")

    with monkeypatch.context() as patched:
        patched.setattr(PeriodicEntry, "take", fail)
        with pytest.raises(OperationalError):
            beat.pass_once()
    beat.reload()
    beat.pass_once()

    assert ["plain.task"] == sent()


def test_a_task_that_is_disabled_meanwhile_is_not_sent(beat, sent):
    row = task(last_run_at=datetime.now(UTC))
    beat.pass_once()
    PeriodicTask.objects.filter(pk=row.pk).update(enabled=False)   # an update tells no signal
    beat._heap[0].entry.last_run_at = LONG_AGO
    beat._heap[0] = beat._heap[0]._replace(time=0)
    beat.pass_once()

    assert [] == sent()


def test_the_definition_of_a_job_is_never_sent_as_a_message(beat, sent):
    task("job", task="test.job")
    task("plain")
    with registered("test.job"):
        beat.pass_once()

        assert ["plain.task"] == sent()
        assert ["plain"] == list(beat._schedule)


@pytest.fixture
def settings_define():
    """Let Celery's settings define periodic tasks for the length of a test."""
    conf = current_app.conf
    yield lambda definitions: setattr(conf, "beat_schedule", definitions)
    conf.beat_schedule = {}


def test_nor_is_one_that_the_settings_define(beat, settings_define):
    definition = {"task": "test.job", "schedule": schedule(run_every=timedelta(hours=1))}
    settings_define({"job": definition, "plain": {**definition, "task": "plain.task"}})
    with registered("test.job"):
        beat.pass_once()

        assert ["plain"] == list(beat._schedule)
        assert {"job", "plain"} == set(PeriodicTask.objects.values_list("name", flat=True))


def test_nor_is_one_that_became_a_job_type_after_it_was_read(beat, sent):
    task("job", task="test.job", last_run_at=datetime.now(UTC))
    beat.pass_once()
    beat._heap[0].entry.last_run_at = LONG_AGO
    beat._heap[0] = beat._heap[0]._replace(time=0)
    with registered("test.job"):
        beat.pass_once()

    assert [] == sent()


BROKEN = {
    "arguments that are no JSON": {"args": "[1"},
    "arguments that are no list": {"args": '{"a": 1}'},
    "keyword arguments that are no object": {"kwargs": "[1]"},
    "headers that are no object": {"headers": "[1]"},
    "headers that are no JSON": {"headers": "{"},
    "no schedule": {"interval": None},
}


@pytest.mark.parametrize("fields", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_row_does_not_keep_the_others_from_running(beat, sent, fields):
    row = task("a broken one")
    PeriodicTask.objects.filter(pk=row.pk).update(**fields)
    task("sound", last_run_at=LONG_AGO)
    beat.pass_once()
    beat.pass_once()

    assert ["plain.task"] == sent()


def test_a_change_of_the_rows_is_seen_at_the_next_pass(beat, sent):
    beat.pass_once()
    task()
    PeriodicTasks.update_changed()
    beat.pass_once()

    assert ["plain.task"] == sent()


def test_a_task_that_runs_once_is_disabled_afterwards(beat, sent):
    clocked = ClockedSchedule.objects.create(clocked_time=LONG_AGO)
    row = PeriodicTask.objects.create(name="once", task="plain.task", clocked=clocked, one_off=True)
    for _ in range(3):
        beat.pass_once()
        if beat._heap:
            beat._heap[0] = beat._heap[0]._replace(time=0)

    assert ["plain.task"] == sent()
    row.refresh_from_db()
    assert not row.enabled


def test_an_unused_result_backend_gets_no_clean_up(beat):
    beat.pass_once()

    assert 0 == PeriodicTask.objects.count()
