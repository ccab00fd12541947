"""What the fleet does every so often is done once in a period, whoever asks."""

from datetime import timedelta

import pytest
from django.db import connection

from apps.jobs.models import Duty, Job
from apps.jobs.scheduling import chores
from apps.jobs.scheduling.chores import Chore
from core import audit
from core.audit.models import AuditLink
from tests.support.factories import own_connection

pytestmark = pytest.mark.django_db(transaction=True)
HOUR = timedelta(hours=1)


def an_hour_passes():
    with connection.cursor() as cursor:
        cursor.execute("UPDATE job_duty SET done_at = done_at - interval '1 hour'")


def test_a_new_installation_begins_its_first_period_with_nothing_to_do():
    assert [] == chores.run(by="one")
    assert 0 == Job.objects.count()


def test_retention_is_enqueued_once_an_hour_whoever_asks():
    chores.run(by="one")
    an_hour_passes()

    assert [["system.prune", "audit.seal"], [], []] == [chores.run(by=name) for name in ("one", "two", "one")]
    assert ["system.prune"] == [job.type for job in Job.objects.all()]


def test_the_audit_is_linked_each_minute():
    chores.run(by="one")
    made = audit.record(action="a.b", target="c:d")
    an_hour_passes()

    chores.run(by="one")

    assert AuditLink.objects.filter(entry_id=made.pk).exists()


def test_retention_that_still_waits_is_not_enqueued_twice():
    chores.run(by="one")
    for _ in range(3):
        an_hour_passes()
        chores.run(by="one")

    assert 1 == Job.objects.count()


def test_a_chore_that_fails_keeps_its_turn_and_holds_up_no_other():
    done = []

    def fail():
        raise RuntimeError("no")

    both = (Chore(name="bad", every=HOUR, act=fail), Chore(name="good", every=HOUR, act=lambda: done.append(1)))
    chores.run(by="one", chores=both)
    an_hour_passes()

    assert ["good"] == chores.run(by="one", chores=both)
    assert [1] == done
    assert Duty.objects.get(name="bad").done_at < Duty.objects.get(name="good").done_at - timedelta(minutes=59)


def test_a_turn_in_which_somebody_stands_still_holds_up_no_dispatcher():
    chores.run(by="frozen")
    an_hour_passes()
    with own_connection("frozen") as frozen, frozen.transaction():
        frozen.execute("UPDATE job_duty SET done_at = clock_timestamp(), by = 'frozen'")
        done = chores.run(by="other")   # without a bound: for as long as the other stands
    an_hour_passes()

    assert [] == done
    assert ["system.prune", "audit.seal"] == chores.run(by="other")
