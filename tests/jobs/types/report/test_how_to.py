"""The report that docs/how-to/reports.md shows, as it stands there."""

import json
import re
from pathlib import Path

import pytest

from apps.jobs.types.report import registry as reports
from tests.jobs.types.report.conftest import a_job, make

PAGE = Path(__file__).resolve().parents[4] / "docs" / "how-to" / "reports.md"
pytestmark = pytest.mark.usefixtures("db")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)


@pytest.fixture
def shown():
    (code,) = blocks("python")
    exec(compile(code, str(PAGE), "exec"), {"__name__": "shop_reports"})  # noqa: S102  the page's own code
    yield
    del reports._reports["jobs_by_day"]


def test_the_report_of_the_how_to_works(shown):
    a_job(tags=["shop"])
    a_job(tags=["other"])
    *_, payload = map(json.loads, blocks("json"))

    made = make(payload.pop("report"), payload.pop("format"), **payload)

    assert [{"day": "2026-11-02", "jobs": 1}] == made.sheet("days")
