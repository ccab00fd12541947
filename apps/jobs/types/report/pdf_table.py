"""Headings and tables on pages."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from apps.jobs.types.report import pdf_chart
from apps.jobs.types.report.cells import Cell, Row
from apps.jobs.types.report.document import Document
from apps.jobs.types.report.pdf_data import BarData, LineData
from apps.jobs.types.report.pdf_page import FAINT, HEAD, LINE, MARGIN, MILLIMETRES, Page
from apps.jobs.types.report.tables import Column

LARGEST, SMALLEST = 7.5, 4.5
EM = 0.65        # the width of a digit or a hexadecimal letter, in the font's size
PADDING = 0.8
LINES = 3        # of a cell


class Paper:
    """A document on pages, from top to bottom."""

    def __init__(self, document: Document) -> None:
        self.page = Page(document.title)
        self._document = document
        self._y = MARGIN

    def close(self) -> None:
        """Let go of what the page holds; call it when the document is written, or is not to be."""
        self.page.close()

    def heading(self) -> None:
        """Write the title and what the reader must know."""
        self.page.write_at(MARGIN, self._y + 5, self._document.title, size=15)
        self._y += 12
        for name, value in self._document.facts:
            for place, line in enumerate(self.page.fitted(value, width=230, size=8, lines=LINES)):
                if place == 0:
                    self.page.write_at(MARGIN, self._y, name, size=8, colour=FAINT)
                self.page.write_at(MARGIN + 40, self._y, line, size=8)
                self._y += 4.4
        self._y += 3

    def charts(self, charts: Sequence[BarData | LineData]) -> None:
        """Draw charts, two beside each other."""
        for pair in (charts[number:number + 2] for number in range(0, len(charts), 2)):
            height = max(map(pdf_chart.height, pair))
            self._need(height)
            for column, data in enumerate(pair):
                x = MARGIN + column * (pdf_chart.WIDTH + pdf_chart.GAP)
                pdf_chart.draw(self.page, data, x=x, y=self._y, shown=self._minute)
            self._y += height

    def table(self, name: str, columns: Sequence[Column]) -> "Grid":
        """Begin a table."""
        grid = Grid.of(columns, width=self.page.w - 2 * MARGIN)
        self._need(24)
        self.page.write_at(MARGIN, self._y + 4, name, size=10)
        self._y += 7
        self._header(grid)
        return grid

    def row(self, grid: "Grid", row: Row) -> None:
        """Write a row, on a new page under a new header when it does not fit."""
        cells = [
            self.page.fitted(self.text(value), width=width - 2 * PADDING, size=grid.size, lines=LINES)
            for value, width in zip(row, grid.widths, strict=True)
        ]
        height = max(map(len, cells)) * grid.line + 0.8
        if self._need(height):
            self._header(grid)
        for lines, value, x, width in zip(cells, row, grid.places, grid.widths, strict=True):
            right = isinstance(value, int | float) and not isinstance(value, bool)
            for number, text in enumerate(lines if lines != [""] else ()):
                at = x + width - PADDING if right else x + PADDING
                self.page.write_at(at, self._y + (number + 0.8) * grid.line, text, size=grid.size, right=right)
        self._y += height
        self.page.set_draw_color(*LINE)
        self.page.set_line_width(0.1)
        self.page.line(MARGIN, self._y - 0.2, self.page.w - MARGIN, self._y - 0.2)

    def remark(self, text: str) -> None:
        """Write a line under a table."""
        self._need(8)
        self.page.write_at(MARGIN, self._y + 4.5, text, size=8, colour=FAINT)
        self._y += 9

    def text(self, value: Cell) -> str:
        """Return how a cell is written."""
        match value:
            case None:
                return ""
            case bool():
                return "yes" if value else "no"
            case int() | float():
                return pdf_chart.number(value)
            case datetime():
                return self._document.local(value).isoformat(" ", "milliseconds")
            case _:
                return value

    def _minute(self, moment: datetime) -> str:
        return self._document.local(moment).isoformat(" ", "minutes")

    def _header(self, grid: "Grid") -> None:
        self.page.set_fill_color(*HEAD)
        self.page.rect(MARGIN, self._y, self.page.w - 2 * MARGIN, grid.line + 0.8, style="F")
        for column, x, width in zip(grid.columns, grid.places, grid.widths, strict=True):
            text = self.page.fitted(column.name, width=width - PADDING, size=grid.size, lines=1)[0]
            self.page.write_at(x + PADDING, self._y + grid.line * 0.85, text, size=grid.size, colour=FAINT)
        self._y += grid.line + 0.8

    def _need(self, height: float) -> bool:
        """Begin a new page unless there is room; say whether one was begun."""
        if self._y + height <= self.page.bottom:
            return False
        self.page.add_page()
        self._y = MARGIN
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """How a table's columns share the page: by their room, in the largest size in which all of them have it."""

    columns: Sequence[Column]
    widths: Sequence[float]
    places: Sequence[float]
    size: float

    @classmethod
    def of(cls, columns: Sequence[Column], *, width: float) -> "Grid":
        """Share a width among columns."""
        unit = (width - 2 * PADDING * len(columns)) / sum(column.room for column in columns)
        widths = [column.room * unit + 2 * PADDING for column in columns]
        size = min(max(unit / EM / MILLIMETRES, SMALLEST), LARGEST)
        places = [MARGIN + sum(widths[:number]) for number in range(len(widths))]
        return cls(columns=columns, widths=widths, places=places, size=size)

    @property
    def line(self) -> float:
        return self.size * MILLIMETRES * 1.25
