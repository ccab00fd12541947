"""What of a report in PDF stands on one line: the columns share the page so that each has the room that it asks for."""

import pytest

from apps.jobs.types.report import Column
from apps.jobs.types.report.pdf_page import MARGIN, Page
from apps.jobs.types.report.pdf_table import PADDING, SMALLEST, Grid
from tests.jobs.types.report.conftest import a_job, at, make

pytestmark = pytest.mark.usefixtures("db")
MOMENTS = [Column("from", 26), Column("to", 26)]
NUMBERS = [Column(f"run_p{number}_seconds") for number in range(12)]


@pytest.mark.parametrize("others", [0, 4, 8, 9])
def test_a_moment_fits_into_its_column_beside_however_many_others(others):
    page = Page("moments")
    grid = Grid.of([*MOMENTS, *NUMBERS[:others]], width=page.w - 2 * MARGIN)
    text = "2026-11-26 04:00:00.000+00:00"

    lines = page.fitted(text, width=grid.widths[0] - 2 * PADDING, size=grid.size, lines=3)

    page.close()
    assert (True, [text]) == (grid.size > SMALLEST, lines)


def test_the_columns_take_the_page_as_it_is():
    grid = Grid.of([*MOMENTS, *NUMBERS], width=273)

    assert 273 == pytest.approx(sum(grid.widths))
    assert [MARGIN + sum(grid.widths[:number]) for number in range(14)] == pytest.approx(list(grid.places))


def test_each_span_of_latencies_is_shown_with_its_moments_unbroken():
    for hour in range(24):
        a_job(created=at(hour * 3600))

    text = "\n".join(make("queue_latency", "pdf").pages())

    ends = [at(hour * 3600).isoformat(" ", "milliseconds") for hour in range(1, 24)]
    assert [2] * 23 == [text.count(end) for end in ends]   # one span's end, the next one's beginning
