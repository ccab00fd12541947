"""A worker does the dispatcher's duties while beat is silent, and only then."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from apps.jobs.lifecycle import Status
from apps.jobs.models import Duty, Job
from apps.jobs.scheduling.dispatcher import Config
from apps.jobs.scheduling.understudy import Patience, Understudy
from apps.jobs.transitions import presence
from apps.jobs.transitions.statement import on_django
from tests.jobs.scheduling.conftest import running
from tests.support.factories import job_in, row
from tests.support.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)
LONG_AGO = datetime(2001, 1, 1, tzinfo=UTC)


def overdue():
    job_id = job_in(Status.SCHEDULED)
    Job.objects.filter(id=job_id).update(run_at=LONG_AGO)
    return job_id


def beat_signed(seconds_ago):
    presence.sign(on_django(), name=presence.DISPATCH, by="beat:test:1")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE job_duty SET done_at = clock_timestamp() - %s", [timedelta(seconds=seconds_ago)])


@pytest.fixture
def understudy(make_dispatcher):
    return Understudy(make_dispatcher(by="worker:test:2", duty=presence.UNDERSTUDY).dispatcher)


def test_it_does_nothing_while_beat_signs(understudy):
    job_id = overdue()
    beat_signed(2)

    assert not understudy.run_once()
    assert Status.SCHEDULED == row(job_id).status


@pytest.mark.parametrize("silence", [None, 3.5, 100, -3600])   # the last: a database whose clock has gone back since
def test_it_works_when_beat_is_silent_for_three_seconds_or_never_was(understudy, silence):
    job_id = overdue()
    if silence:
        beat_signed(silence)

    assert understudy.run_once()
    assert Status.QUEUED == row(job_id).status


def test_it_signs_under_a_name_of_its_own_so_that_beats_absence_stays_visible(understudy):
    understudy.run_once()

    assert ["worker:test:2"] == [each.by for each in Duty.objects.filter(name=presence.UNDERSTUDY)]
    assert not Duty.objects.filter(name=presence.DISPATCH).exists()


def test_it_steps_back_when_beat_is_there_again(understudy):
    assert understudy.run_once()
    beat_signed(0)
    job_id = overdue()

    assert not understudy.run_once()
    assert Status.SCHEDULED == row(job_id).status


def test_several_of_them_do_no_harm(make_dispatcher):
    cast = [
        Understudy(make_dispatcher(by=f"worker:test:{number}", duty=presence.UNDERSTUDY).dispatcher) for number in (1, 2, 3)
    ]
    ids = [overdue() for _ in range(5)]

    assert [True, True, True] == [each.run_once() for each in cast]
    assert {Status.QUEUED} == {row(each).status for each in ids}


def test_looking_on_keeps_the_clock_in_view_so_that_stepping_in_is_no_gap(understudy):
    beat_signed(0)
    understudy.run_once()
    beat_signed(4)
    understudy.run_once()

    assert understudy.dispatcher.hold.until is not None


def test_a_thread_of_it_steps_in_and_ends_when_told(make_dispatcher):
    quick = Patience(silence=3.0, look=0.02)
    understudy = Understudy(make_dispatcher(duty=presence.UNDERSTUDY).dispatcher, quick)
    job_id = overdue()
    with running(understudy.run):
        until(lambda: row(job_id).status == Status.QUEUED)
        beat_signed(0)
        until(lambda: not understudy.on_stage)

    assert understudy.dispatcher._connection is None


def test_a_workers_own_one_signs_as_a_worker():
    config = Config.of_worker()

    assert (presence.UNDERSTUDY, "worker") == (config.duty, config.by.partition(":")[0])
