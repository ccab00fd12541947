"""Lists are answered by indexes that few changes of a job's status have to write."""

import pytest
from django.db import connection

from apps.jobs import selectors
from apps.jobs.models import Job

pytestmark = pytest.mark.django_db


# Far more are delayed than have failed, and one index holds both.
DELAYED = """
INSERT INTO job (id, type, queue, priority, status, attempt, max_attempts, failures, rescues, timeout_seconds, run_at,
  created_at, tags, payload, payload_version, request_id)
SELECT gen_random_uuid(), 'a.b', 'default', 5, CASE WHEN n % 50 = 0 THEN 'retrying' ELSE 'scheduled' END, 0, 5, 0, 0, 60,
  clock_timestamp() + interval '1 h', clock_timestamp(), '{}', '{}', 1, '' FROM generate_series(1, 1000) n"""


@pytest.fixture
def plan():
    """How the server would read a list's rows, were a walk along the newest no choice."""
    with connection.cursor() as cursor:
        cursor.execute(DELAYED)
        cursor.execute("ANALYZE job")   # else what other tests have left behind decides between indexes that both do
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SET LOCAL enable_indexscan = off")
        cursor.execute("SET LOCAL enable_indexonlyscan = off")
    return lambda rows: rows.order_by("-created_at", "-id")[:50].explain()


@pytest.mark.parametrize(("wanted", "index"), [
    ({"status": "dead_letter"}, "job_unusual"), ({"status": "cancelled"}, "job_unusual"),
    ({"status": "retrying"}, "job_unusual"),
    ({"status": "running"}, "job_held"), ({"status": "queued"}, "job_ready"),
    ({"type_name": "a.b"}, "job_by_kind"), ({"type_name": "a.b", "queue": "mail"}, "job_by_kind"),
    ({"tag": "x"}, "job_tags"), ({"cron_id": 1}, "job_occurrence"),
])
def test_a_list_has_its_index(plan, wanted, index):
    assert f"on {index} " in plan(selectors.matching(**wanted))


def test_without_the_condition_of_their_index_tags_would_be_looked_for_in_every_row(plan):
    assert "on job_tags " not in plan(Job.objects.filter(tags__contains=["x"]))
