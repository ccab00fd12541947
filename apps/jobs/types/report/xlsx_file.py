"""A report as XLSX: a sheet a table, written row by row, so that memory does not grow with rows."""

from datetime import datetime
from pathlib import Path
from typing import Any

from apps.jobs.types.report.cells import Cell
from apps.jobs.types.report.document import Document
from apps.jobs.types.report.errors import ReportTooLarge
from apps.jobs.types.report.pace import Pace
from apps.jobs.types.report.sink import Sink
from apps.jobs.types.report.spool import Spool

MOST_ROWS = 1_048_575      # the sheet's own limit, without the header
EXACT = 2**53              # beyond it a spreadsheet rounds integers
FIRST_YEAR = 1900          # it knows no earlier date
MOST_WIDTH = 60


def write(document: Document, file: Sink, pace: Pace, *, folder: Path) -> int:
    """Write all tables and a sheet that says what they show; return how many rows were left out, which is none."""
    import xlsxwriter  # noqa: PLC0415  a tenth of a second and some megabytes for every process that never needs it

    for table in document.tables:
        if table.rows > MOST_ROWS:
            raise ReportTooLarge(f"table {table.name} has {table.rows} rows, a sheet at most {MOST_ROWS}", fix=", or take csv")
    book = xlsxwriter.Workbook(file, {"constant_memory": True, "tmpdir": str(folder)})
    book.use_zip64()   # a million rows of text are more than 2 GiB before they are compressed
    try:
        styles = Styles(book, document)
        for table in document.tables:
            _sheet(book, table, styles, pace)
        _about(book, document, styles, pace)
        book.close()
    except BaseException:
        file.abandon()
        for sheet in book.worksheets():
            sheet.abandon()
        raise
    return 0


class Styles:
    """The formats of a book. A moment's format says its offset: a date cell has none, and an hour may come twice."""

    def __init__(self, book: Any, document: Document) -> None:
        self._book, self._document = book, document
        self.header = book.add_format({"bold": True, "bottom": 1})
        self._moments: dict[str, Any] = {}

    def moment(self, at: datetime) -> tuple[datetime, Any]:
        """Return what the clocks of the report's zone show, and the format that adds how far they are from UTC."""
        local = self._document.local(at)
        offset = local.isoformat(timespec="seconds")[19:]
        if offset not in self._moments:
            self._moments[offset] = self._book.add_format({"num_format": f'yyyy-mm-dd hh:mm:ss.000" {offset}"'})
        return local.replace(tzinfo=None), self._moments[offset]


def _sheet(book: Any, table: Spool, styles: Styles, pace: Pace) -> None:
    sheet = _added(book, table.name, pace)
    sheet.freeze_panes(1, 0)
    sheet.autofilter(0, 0, table.rows, len(table.columns) - 1)
    for number, column in enumerate(table.columns):
        sheet.set_column(number, number, min(column.room + 2, MOST_WIDTH))
    for number, column in enumerate(table.columns):
        sheet.write_string(0, number, column.name, styles.header)
    at = 1
    for batch in table.batches():
        for row in batch:
            for number, each in enumerate(row):
                _cell(sheet, at, number, each, styles)
            at += 1
        pace.step(len(batch))


def _cell(sheet: Any, row: int, column: int, each: Cell, styles: Styles) -> None:
    """Write a cell by its own kind: text is never taken for a number, a formula or a link."""
    match each:
        case None:
            return
        case str():
            sheet.write_string(row, column, each)
        case bool():
            sheet.write_boolean(row, column, each)
        case int() if abs(each) > EXACT:
            sheet.write_string(row, column, str(each))
        case datetime() if each.year <= FIRST_YEAR:
            sheet.write_string(row, column, each.isoformat())
        case datetime():
            sheet.write_datetime(row, column, *styles.moment(each))
        case _:
            sheet.write_number(row, column, each)


def _added(book: Any, name: str, pace: Pace) -> Any:
    from apps.jobs.types.report.xlsx_sheet import Sheet  # noqa: PLC0415  as above

    sheet = book.add_worksheet(name, worksheet_class=Sheet)
    sheet.check = pace.check
    return sheet


def _about(book: Any, document: Document, styles: Styles, pace: Pace) -> None:
    sheet = _added(book, "about", pace)
    sheet.set_column(0, 0, 16)
    sheet.set_column(1, 1, MOST_WIDTH)
    for row, (name, value) in enumerate([("report", document.title), *document.facts]):
        sheet.write_string(row, 0, name, styles.header)
        sheet.write_string(row, 1, value)
