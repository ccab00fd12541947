"""Memory does not grow with rows. By hand with more: `REPORT_ROWS=1000000 pytest -s tests/jobs/types/report/test_memory.py`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.db import connection

from tests.jobs.types.report.conftest import DAY, PERIOD
from tests.support.environment import environment

ROOT = Path(__file__).resolve().parents[4]
ROWS = int(os.environ.get("REPORT_ROWS", "200000"))   # as Python objects already more than the bound
MOST_MIB = 150


@pytest.fixture
def many(db):
    """Failures of a day, each with a text of its own."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO job (id, type, queue, priority, status, attempt, max_attempts, failures, rescues, timeout_seconds, run_at,"
            " created_at, started_at, finished_at, tags, payload, payload_version, request_id)"
            " SELECT gen_random_uuid(), 'test.t' || mod(n, 5), 'default', 5, 'dead_letter', 1, 1, 1, 0, 60, %(day)s, %(day)s, %(day)s,"
            " %(day)s, '{}', '{}', 1, '' FROM generate_series(1, %(rows)s) n", {"day": DAY, "rows": ROWS},
        )
        cursor.execute(
            "INSERT INTO job_attempt (job_id, number, fence, outcome, error, started_at, finished_at)"
            " SELECT id, 1, 1, 'failed', jsonb_build_object('class', 'ValueError', 'message', 'failed with ' || id, 'traceback', ''),"
            " %(day)s, %(day)s + row_number() OVER () * interval '1 s' * 86000 / %(rows)s FROM job", {"day": DAY, "rows": ROWS},
        )
        cursor.execute("ANALYZE job, job_attempt")


def batched(said):
    """Return what was said, two by two."""
    return list(zip(said[::2], said[1::2], strict=True))


def measured(*payloads):
    """Make reports in one process, and return what it says of each."""
    command = ["nice", "-n", "19", sys.executable, "-m", "tests.jobs.types.report.measured", *map(json.dumps, payloads)]
    ran = subprocess.run(command, cwd=ROOT, env=environment(PYTHONPATH="platform"), capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    said = [json.loads(line) for line in ran.stdout.splitlines() if '"peak_mib"' in line]
    print(*said, sep="\n")  # noqa: T201  for whoever runs it by hand
    return said


@pytest.mark.timeout(max(600, ROWS // 250))   # a bound against hanging, on a machine that others load
def test_many_rows_need_no_more_memory_than_few(many):
    def asked(form, **filters):
        return {"report": "jobs_failures", **PERIOD, "format": form, "filters": {"details": True, **filters}}

    turns = [asked(form, **filters) for form in ("csv", "xlsx", "pdf") for filters in ({"error": "Nobody"}, {})]
    said = measured(*turns)   # an empty one first: what a format's library takes by itself is not the rows'

    growth = [many["peak_mib"] - few["peak_mib"] for few, many in batched(said)]
    assert [0, ROWS] * 3 == [each["rows"] for each in said]
    assert [0, 0, ROWS - 500] == [many["left_out"] for _, many in batched(said)]
    assert max(each["peak_mib"] for each in said) < MOST_MIB, said
    assert max(growth) < 20, said
