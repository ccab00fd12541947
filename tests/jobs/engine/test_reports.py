"""Reports in real workers: made under the fence, and cancelled while the database works on them."""

from collections.abc import Iterator

import pytest

from apps.jobs import services as jobs
from apps.jobs.lifecycle import Status
from apps.jobs.models import Artifact
from tests.jobs.engine.conftest import ended, known
from tests.support import factories
from tests.support.waiting import until
from tests.support.workers import SCRIPTED, Fleet

ASKED = "SELECT query FROM pg_stat_activity WHERE application_name = 'latchwork report'"


@pytest.fixture
def slow() -> Iterator[str]:
    """The slow report, known in this process for a while: enqueueing looks there."""
    from apps.jobs.types.report import registry
    from tests.support import reports

    registry._reports[reports.NAME] = reports.SLOW
    yield reports.NAME
    del registry._reports[reports.NAME]


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_a_worker_makes_a_report_and_ends_one_that_the_database_works_on(workers: Fleet, slow: str, pool: str):
    worker = workers.start(pool=pool, modules=[SCRIPTED, "tests.support.reports"])
    known(worker.queue)
    period = {"from": "2026-11-02T00:00:00Z", "to": "2027-11-02T00:00:00Z"}
    made = jobs.enqueue("report.generate", {"report": "jobs_summary", **period, "format": "pdf"}, queue=worker.queue)
    (row,) = ended(made)
    running = jobs.enqueue("report.generate", {"report": slow, **period, "format": "csv"}, queue=worker.queue)
    with factories.own_connection("looking") as look:
        until(lambda: look.execute(f"{ASKED} AND state = 'active' AND query LIKE 'FETCH%'").fetchall(), timeout=60)
        jobs.cancel(running)
        (cancelled,) = ended(running)
        until(lambda: not look.execute(ASKED).fetchall(), message="the database still works on it")

    assert (Status.COMPLETED, Status.CANCELLED) == (row.status, cancelled.status)
    assert {row.result["artifact"]} == {str(each.id) for each in Artifact.objects.all()}
    assert "reading.py" in cancelled.error["traceback"], cancelled.error   # it was told, and not killed after the grace
