"""A report reads one moment, in nobody's way: no lock, no write, bounded, and it hears when it shall end."""

import time
from datetime import timedelta

import psycopg
import pytest
from django.db import connection

from apps.jobs.errors import Cancelled
from apps.jobs.lifecycle import Status
from apps.jobs.types.report import failures, latency, reading, summary
from apps.jobs.types.report.errors import ReportTooSlow
from apps.jobs.types.report.reading import snapshot
from tests.jobs.types.report.conftest import DAY, a_failure, a_job, sql
from tests.support import factories
from tests.support.waiting import until

pytestmark = pytest.mark.usefixtures("db")
COUNT = "SELECT count(*) FROM job"
SLOW = "SELECT count(*) FROM (SELECT pg_sleep(0.2) FROM generate_series(1, 1000)) slow"   # 200 seconds in one answer


def nothing():
    """Go on."""


def test_all_tables_of_a_report_see_one_moment():
    a_job()
    with snapshot(nothing) as moment:
        first = list(moment.rows(COUNT))
        a_job()
        second = list(moment.rows(COUNT))
    with snapshot(nothing) as moment:
        later = list(moment.rows(COUNT))

    assert ([(1,)], [(1,)], [(2,)]) == (first, second, later)


def test_a_report_cannot_write():
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction), snapshot(nothing) as moment:
        list(moment.rows("SELECT nextval('job_fence')"))


def test_jobs_go_through_all_their_states_while_a_report_reads():
    for _ in range(3):
        a_job()
    with snapshot(nothing) as moment:
        rows = iter(moment.rows("SELECT * FROM job j JOIN job_attempt a ON true"))
        assert next(rows, None) is None
        locks = sql(
            "SELECT DISTINCT mode FROM pg_locks l JOIN pg_stat_activity a USING (pid)"
            " WHERE a.application_name = 'latchwork report' AND l.locktype <> 'virtualxid'",
        )
        done = factories.job_in(Status.COMPLETED)
        sql("DELETE FROM job WHERE id <> %s RETURNING 1", [done])

    assert [("AccessShareLock",)] == locks
    assert Status.COMPLETED == factories.row(done).status


def test_the_server_bounds_a_report_whose_process_is_stopped():
    with snapshot(nothing) as moment:
        rows = "SELECT name, setting FROM pg_settings WHERE name = ANY(%(names)s) ORDER BY name"
        names = ["idle_in_transaction_session_timeout", "max_parallel_workers_per_gather", "statement_timeout", "transaction_isolation"]
        found = dict(moment.rows(rows, {"names": names}))

    assert {
        "idle_in_transaction_session_timeout": "60000", "max_parallel_workers_per_gather": "0", "statement_timeout": "120000",
        "transaction_isolation": "repeatable read",
    } == found


class Later:
    """A check that raises once the statement runs."""

    def __init__(self):
        self.raised_at = None

    def __call__(self):
        if sql("SELECT 1 FROM pg_stat_activity WHERE application_name = 'latchwork report' AND query LIKE 'FETCH%'"
               " AND state = 'active'"):   # fmt: skip
            self.raised_at = self.raised_at or time.monotonic()
            connection.close()   # of the watching thread
            raise Cancelled("this")
        connection.close()


def test_a_cancellation_ends_a_statement_that_is_running():
    check = Later()
    with pytest.raises(Cancelled), snapshot(check) as moment:
        list(moment.rows(SLOW))

    assert time.monotonic() - check.raised_at < 5   # a second, and what a loaded machine adds
    until(lambda: not sql("SELECT 1 FROM pg_stat_activity WHERE application_name = 'latchwork report'"))


def test_unwatched_the_same_statement_goes_on_after_the_cancellation(monkeypatch):
    monkeypatch.setattr(reading.Watch, "_look", lambda watch: None)

    def cancelled():
        raise Cancelled("this")

    with snapshot(cancelled) as moment:
        rows = list(moment.rows("SELECT 1 FROM (SELECT pg_sleep(0.2) FROM generate_series(1, 4)) slow"))

    assert 4 == len(rows)


def test_an_answer_that_takes_too_long_is_given_up(monkeypatch):
    monkeypatch.setattr(reading, "STATEMENT_SECONDS", 0.3)

    with pytest.raises(ReportTooSlow, match=r"took longer than 0.3 s.*narrow the period or filter more"), snapshot(nothing) as moment:
        list(moment.rows(SLOW))


def test_a_snapshot_that_lives_too_long_is_given_up():
    with pytest.raises(ReportTooSlow, match=r"reading its rows took longer than 0 s"), snapshot(nothing, seconds=0) as moment:
        list(moment.rows("SELECT generate_series(1, 5000)"))


def test_a_mistake_in_a_query_comes_out_as_it_is():
    with pytest.raises(psycopg.errors.UndefinedTable), snapshot(nothing) as moment:
        list(moment.rows("SELECT * FROM no_such_table"))


PARAMS = {
    "since": DAY, "until": DAY.replace(day=3), "type": None, "queue": None, "tag": None, "status": None, "error": None,
    "starts": [DAY],
}


@pytest.mark.parametrize(("query", "given", "index"), [
    (summary._QUERY, {}, "job_by_created"),
    (summary._QUERY, {"type": "test.rare", "since": DAY - timedelta(days=30)}, "job_by_kind"),
    (latency._QUERY, {}, "job_by_created"),
    (failures._ERRORS, {}, "job_attempt_failed"),
    (failures._DETAILS, {}, "job_attempt_failed"),
])   # fmt: skip
def test_each_report_reads_by_an_index(query, given, index):
    """Of many rows, most of them before the period."""
    for number in range(3):
        a_failure(a_job(kind=f"test.{number}"))
    sql(
        "INSERT INTO job (id, type, queue, priority, status, attempt, max_attempts, failures, rescues, timeout_seconds, run_at,"
        " created_at, finished_at, tags, payload, payload_version, request_id)"
        " SELECT gen_random_uuid(), 'test.echo', 'default', 5, 'completed', 1, 1, 0, 0, 60, at, at, at, '{}', '{}', 1, ''"
        " FROM (SELECT timestamptz '2026-10-01Z' + n * interval '2 min' AS at FROM generate_series(1, 23000) n) moments RETURNING 1",
    )
    sql("INSERT INTO job_attempt (job_id, number, fence, outcome, finished_at) SELECT id, 2, 2, 'failed', finished_at FROM job"
        " RETURNING 1")   # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE job, job_attempt")

    plan = "\n".join(row[0] for row in sql(f"EXPLAIN {query}", {**PARAMS, **given}))

    assert index in plan
