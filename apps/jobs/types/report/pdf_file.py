"""A report as PDF: what it shows, its charts, and of each table as much as somebody reads on paper."""

from contextlib import closing
from itertools import chain, islice

from apps.jobs.types.report.document import Document
from apps.jobs.types.report.pace import Pace
from apps.jobs.types.report.sink import Sink
from apps.jobs.types.report.spool import Spool

MOST_ROWS = 500   # of each table; the file says how many more there are


def write(document: Document, file: Sink, pace: Pace) -> int:
    """Write all tables; return how many rows were left out."""
    from apps.jobs.types.report.pdf_data import collected  # noqa: PLC0415  as below
    from apps.jobs.types.report.pdf_table import Paper  # noqa: PLC0415  fonts and pictures: 20 MiB for whoever needs them

    with closing(Paper(document)) as paper:
        paper.heading()
        for table in document.tables:
            paper.charts(collected(table, pace.check))
            grid = paper.table(table.name, table.columns)
            for row in islice(chain.from_iterable(table.batches()), MOST_ROWS):
                paper.row(grid, row)
                pace.step(1)
            paper.remark(_rest(table))
            pace.step(left_out(table))
        file.write(paper.page.output())
    return sum(map(left_out, document.tables))


def left_out(table: Spool) -> int:
    """Return how many rows of a table are not shown."""
    return max(table.rows - MOST_ROWS, 0)


def _rest(table: Spool) -> str:
    if not table.rows:
        return "No rows in this period."
    if more := left_out(table):
        return f"{table.rows} rows; {more} of them are left out here: CSV and XLSX have them all."
    return f"{table.rows} rows."
