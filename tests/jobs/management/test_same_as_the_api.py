"""What a script learns from a command it learns from the API, under the same names."""

from datetime import datetime

import pytest

from apps.jobs.lifecycle import Status
from apps.jobs.models import StaleWrite
from core.ids import uuid7
from tests.support import factories
from tests.support.caller import Caller

pytestmark = pytest.mark.django_db
MOMENTS = ("at", "_until", "_for")


def with_moments(value):
    """Return JSON with its times as times: +00:00 and Z are the same zone."""
    if isinstance(value, dict):
        return {
            name: datetime.fromisoformat(inner) if isinstance(inner, str) and name.endswith(MOMENTS)
            else with_moments(inner) for name, inner in value.items()
        }
    return [with_moments(inner) for inner in value] if isinstance(value, list) else value


@pytest.fixture
def rows():
    from django.utils import timezone

    StaleWrite.objects.create(job_id=uuid7(), fence=3, worker_id=uuid7(), outcome="completed", at=timezone.now())
    factories.job_in(Status.RUNNING)
    return factories.job_in(Status.RETRYING)


@pytest.mark.parametrize(("command", "path"), [
    ("jobs_list", "jobs"), ("workers_list", "workers"), ("jobs_stale", "stale"),
])   # fmt: skip
def test_a_list(command, path, rows, typed):
    there = Caller.of("viewer").get(f"/api/v1/{path}").json()["items"]

    assert with_moments(there) == with_moments(typed(command, "--json").facts)
    assert there


def test_queues(rows, typed):
    def ageless(queues):
        return [{**queue, "oldest_waiting_seconds": None} for queue in queues]

    there = Caller.of("viewer").get("/api/v1/queues").json()["items"]

    assert with_moments(ageless(there)) == with_moments(ageless(typed("queues_list", "--json").facts))


def test_counts(rows, typed):
    assert Caller.of("viewer").get("/api/v1/stats").json() == typed("jobs_stats", "--json").facts


def test_one_job_with_its_attempts(rows, typed):
    viewer = Caller.of("viewer")
    there = viewer.get(f"/api/v1/jobs/{rows}").json()
    attempts = viewer.get(f"/api/v1/jobs/{rows}/attempts").json()["items"]

    assert with_moments({**there, "attempts": attempts}) == with_moments(typed("jobs_show", rows, "--json").facts)
