"""What a settle reads, when the server believes that nothing runs: its own jobs and no others."""

import pytest

from apps.jobs.transitions import settle
from apps.jobs.transitions.statement import on_django
from tests.support.factories import claims, end, jobs, worker

pytestmark = pytest.mark.django_db


def plan_of_a_settle():
    """Return how the server would settle when its statistics say that nothing runs."""
    plan = []

    def explained(sql, params):
        cursor = on_django()(f"EXPLAIN {sql}", params)
        plan.extend(line for line, in cursor.fetchall())
        return on_django()("SELECT WHERE false", {})

    jobs(300)
    on_django()("ANALYZE job", {})
    for way in ("seqscan", "bitmapscan"):   # as the ledger's connection has it
        on_django()(f"SET LOCAL enable_{way} = off", {})
    me = worker()
    settle.settle(explained, [end(each) for each in claims(me, limit=20)], worker=me, rescue_cap=3).get()
    return "\n".join(plan)


def test_a_settle_finds_its_jobs_by_id_and_reads_no_others_that_run():
    plan = plan_of_a_settle()

    assert "using job_pkey on job j_1" in plan
    assert not {"job_by_status", "job_held"} & set(plan.split())


def test_asked_for_the_status_itself_the_server_would_read_all_that_run(monkeypatch):
    monkeypatch.setattr(settle, "_SETTLE", settle._SETTLE.replace("j.status || ''", "j.status"))

    assert {"job_by_status", "job_held"} & set(plan_of_a_settle().split())
