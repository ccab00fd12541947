"""Lists are answered by indexes that few changes of a job's status have to write."""

import re

import pytest
from django.db import connection

from apps.jobs import selectors
from apps.jobs.models import Job

pytestmark = pytest.mark.django_db


@pytest.fixture
def plan():
    """How the server would read a list's rows, were a walk along the newest no choice."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SET LOCAL enable_indexscan = off")
        cursor.execute("SET LOCAL enable_indexonlyscan = off")
    return lambda rows: rows.order_by("-created_at", "-id")[:50].explain()


@pytest.mark.parametrize(("wanted", "index"), [
    ({"status": "dead_letter"}, "job_unusual"), ({"status": "cancelled"}, "job_unusual"),
    ({"status": "retrying"}, "job_(unusual|due)"),   # both hold it, and statistics choose
    ({"status": "running"}, "job_held"), ({"status": "queued"}, "job_ready"),
    ({"type_name": "a.b"}, "job_by_kind"), ({"type_name": "a.b", "queue": "mail"}, "job_by_kind"),
    ({"tag": "x"}, "job_tags"), ({"cron_id": 1}, "job_occurrence"),
])
def test_a_list_has_its_index(plan, wanted, index):
    assert re.search(f"on {index} ", plan(selectors.matching(**wanted)))


def test_without_the_condition_of_their_index_tags_would_be_looked_for_in_every_row(plan):
    assert "on job_tags " not in plan(Job.objects.filter(tags__contains=["x"]))
