"""Every list, filter and search is answered by an index, and reads no more than its page and its windows need.

The plans are asked of the server for each statement that a real request sends, on a table that is large enough and has
statistics, so that the planner chooses as it would among millions.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from core import windows
from tests.support import factories
from tests.support.people import logged_in, person

pytestmark = pytest.mark.django_db
ROWS = 30_000
WINDOW = 2_000                # rows that one statement reads here
MOST_READ = 4 * WINDOW        # by one statement: a window's end, the rows in it, few others; never the table
LARGE = ("job", "job_attempt", "job_stale_write", "job_artifact", "audit_entry")
COMPRESSED = {"job_tags"}     # a tag's list of places in a GIN is read as a whole, a byte a row; the rows themselves are not
BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)

_FILL = """
INSERT INTO job (id, type, queue, priority, status, attempt, max_attempts, failures, rescues, timeout_seconds, run_at, created_at,
  finished_at, fence, worker_id, unique_key, tags, payload, payload_version, request_id)
SELECT ('0190' || lpad(to_hex(n), 8, '0') || '70008000000000000000')::uuid, type, queue, n %% 10, status, 1, 5, 0, 0, 60, at, at,
  CASE WHEN status IN ('completed', 'cancelled', 'dead_letter') THEN at END,
  CASE WHEN status = 'running' THEN n END, CASE WHEN status = 'running' THEN %(worker)s::uuid END,
  CASE WHEN n %% 7 = 0 THEN 'key:' || n END,
  CASE WHEN n %% 3 = 0 THEN ARRAY['common'] WHEN n = 20 THEN ARRAY['rare'] ELSE '{}' END, '{}', 1, ''
FROM (
  SELECT n, %(beginning)s::timestamptz + n * interval '1 s' AS at,
    CASE WHEN n < 40 THEN 'rare.type' WHEN n %% 2 = 0 THEN 'common.type' ELSE 'other.type' END AS type,
    CASE WHEN n < 60 THEN 'rare' WHEN n %% 5 = 0 THEN 'mail' ELSE 'default' END AS queue,
    CASE WHEN n < 20 THEN 'completed' WHEN n < 30 THEN 'running' WHEN n < 40 THEN 'retrying' WHEN n < 50 THEN 'scheduled'
      WHEN n %% 3 = 0 THEN 'dead_letter' WHEN n %% 3 = 1 THEN 'queued' ELSE 'cancelled' END AS status
  FROM generate_series(1, %(rows)s) AS n) made"""
_OTHERS = """
INSERT INTO job_attempt (job_id, number, fence, outcome, finished_at) SELECT id, 1, 1, 'failed', created_at FROM job;
INSERT INTO job_stale_write (job_id, fence, outcome, at) SELECT id, 1, 'completed', created_at FROM job;
INSERT INTO job_artifact (id, job_id, name, content_type, size, sha256, created_at, expires_at, file)
  SELECT id, id, 'a', 'text/plain', 1, '', created_at, created_at, id::text FROM job;
INSERT INTO audit_entry (actor, action, target) SELECT 'user:1', 'job.retry', 'job:' || id FROM job;
ANALYZE job, job_attempt, job_stale_write, job_artifact, audit_entry"""


@pytest.fixture
def worker(db):
    """A table of many rows, of which each kind that is rare is the oldest, where it is hardest to find."""
    held = factories.worker()
    with connection.cursor() as cursor:
        cursor.execute(_FILL, {"rows": ROWS, "beginning": BEGINNING, "worker": held})
        cursor.execute(_OTHERS)
    return held


@pytest.fixture(autouse=True)
def _small_windows(monkeypatch):
    for method in (windows.Walk.go, windows.Walk.tally):
        monkeypatch.setattr(method, "__kwdefaults__", {**method.__kwdefaults__, "window": WINDOW, "seconds": 60.0})
    monkeypatch.setattr("apps.jobs.selection.FEW", 500)
    monkeypatch.setattr("apps.jobs.admin.queues.MOST_COUNTED", 500)
    cache.clear()


def scans(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the nodes of a plan that read one of the large tables."""
    if plan.get("Relation Name") in LARGE or ("Scan" in plan["Node Type"] and plan.get("Index Name", "").startswith(LARGE)):
        yield plan
    for below in plan.get("Plans", []):
        yield from scans(below)


def read(node: dict[str, Any]) -> int:
    """Return how many rows a node has read, also those that it threw away."""
    thrown = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
    return round((node["Actual Rows"] + thrown) * node["Actual Loops"])


def explained(sql: str) -> list[dict[str, Any]]:
    with windows.by_index(), connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}")
        (plan,) = cursor.fetchone()
    return list(scans((json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"]))


def plans_of(client, address: str) -> list[tuple[str, list[dict[str, Any]]]]:
    """Return the statements of a request that read a large table, with what their plans read."""
    with CaptureQueriesContext(connection) as seen:
        answer = client.get(address)
    assert answer.status_code == 200, address
    asked = [query["sql"] for query in seen if any(f'"{table}"' in query["sql"] or f" {table} " in query["sql"] for table in LARGE)]
    return [(sql, found) for sql in asked if sql.lstrip().startswith(("SELECT", "WITH", "(")) and (found := explained(sql))]


def badly(plans: list[tuple[str, list[dict[str, Any]]]]) -> list[str]:
    """Say which statements read a table as a whole, or more of it than a page needs."""
    return [
        f"{node['Node Type']} on {node.get('Relation Name', node.get('Index Name'))} read {read(node)}: {sql}"
        for sql, nodes in plans for node in nodes
        if node["Node Type"] == "Seq Scan" or (read(node) > MOST_READ and node.get("Index Name") not in COMPRESSED)
    ]


MIDDLE = (BEGINNING + timedelta(seconds=ROWS // 2)).isoformat()
QUERIES = {
    "jobs_job": [
        {}, *({"status": status} for status in (
            "queued", "running", "retrying", "scheduled", "completed", "cancelled", "dead_letter")),
        {"type": "common.type"}, {"type": "rare.type"}, {"type": "none.type"}, {"queue": "default"}, {"queue": "rare"},
        {"type": "rare.type", "queue": "rare"}, {"type": "rare.type", "status": "completed"},
        {"type": "common.type", "status": "running"}, {"queue": "rare", "status": "dead_letter"},
        {"queue": "mail", "status": "queued"}, {"tag": "common"}, {"tag": "rare"}, {"tag": "none"},
        {"tag": "common", "status": "completed"}, {"after": MIDDLE}, {"before": MIDDLE}, {"since": "day"},
        {"after": MIDDLE, "status": "completed"}, {"before": MIDDLE, "type": "other.type", "status": "queued"},
        {"q": "rare"}, {"q": "key:key:7"}, {"q": "key:none"}, {"q": "type:rare"}, {"q": "type:c"}, {"q": "nothing"},
        {"q": "01900000-0007-7000-8000-000000000000"}, {"o": "3"}, {"o": "-2.4"},
    ],
    "jobs_jobattempt": [{}, {"outcome": "failed"}, {"outcome": "timed_out"}, {"q": "01900000-0007-7000-8000-000000000000"}],
    "jobs_stalewrite": [
        {}, {"outcome": "failed"}, {"after": MIDDLE}, {"before": MIDDLE, "outcome": "none"},
        {"q": "01900000-0007-7000-8000-000000000000"},
    ],
    "jobs_artifact": [
        {}, {"job": "01900000-0007-7000-8000-000000000000"}, {"q": "01900000-0007-7000-8000-000000000000"},
    ],
    "jobs_queue": [{}, {"state": "paused"}],
    "core_auditentry": [
        {}, {"action": "job.retry"}, {"action": "queue.pause"}, {"after": MIDDLE}, {"q": "by:user:1"}, {"q": "by:user:2"},
        {"q": "job:01900000-0007-7000-8000-000000000000"}, {"action": "queue.pause", "since": "week"},
    ],
}   # fmt: skip


def test_every_list_filter_search_and_order_is_read_by_an_index(worker):
    admin = logged_in(person("admin"))
    queries = {**QUERIES, "jobs_job": [*QUERIES["jobs_job"], {"worker": str(worker)}]}
    wrong, asked = [], 0
    for model, wanted in queries.items():
        for query in wanted:
            address = reverse(f"admin:{model}_changelist", query=query)
            plans = plans_of(admin, address)
            asked += len(plans)
            wrong += [f"{address}: {each}" for each in badly(plans)]

    assert [] == wrong
    assert asked >= sum(map(len, queries.values()))   # each has asked a large table, and its plan was seen


def test_the_pages_behind_are_read_as_the_first_one_is(worker):
    admin = logged_in(person("admin"))
    here = reverse("admin:jobs_job_changelist")
    for query in ("?status=dead_letter", "?type=common.type", "?"):
        answer = admin.get(here + query)
        for _ in range(3):
            answer = admin.get(here + answer.context["cl"].older())
        plans = plans_of(admin, here + answer.context["cl"].older())

        assert [] == badly(plans)
        assert plans != []


def test_what_no_index_answers_would_be_seen_here(worker):
    """The guard of this file: the plain filters of Django's admin read the whole table."""
    sql = "SELECT id FROM job WHERE status = 'completed' ORDER BY created_at DESC, id DESC LIMIT 101"
    like = "SELECT id FROM job WHERE payload::text LIKE '%x%' LIMIT 101"

    assert 1 == len(badly([(sql, explained(sql))]))
    assert 1 == len(badly([(like, explained(like))]))


def test_a_dry_run_of_all_that_match_reads_by_an_index(worker):
    admin = logged_in(person("admin"))
    address = reverse("admin:jobs_bulk_begin", query={"action": "retry", "status": "dead_letter"})

    assert [] == badly(plans_of(admin, address))
