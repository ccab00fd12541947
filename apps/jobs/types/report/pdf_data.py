"""What charts are drawn from: a few numbers, whatever the number of rows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from operator import itemgetter

from apps.jobs.types.report.cells import Cell
from apps.jobs.types.report.spool import Spool
from apps.jobs.types.report.tables import Bars, Chart, Lines

MOST_LABELS = 5000
MOST_POINTS = 20_000
BARS = 10
SERIES = 6
NOTHING = "(none)"


@dataclass(slots=True)
class BarData:
    """Sums by label."""

    chart: Bars
    sums: dict[str, float] = field(default_factory=dict)

    def take(self, values: dict[str, Cell]) -> None:
        label = " · ".join(_text(values[name]) for name in self.chart.label)
        value = values[self.chart.value]
        if isinstance(value, int | float) and (label in self.sums or len(self.sums) < MOST_LABELS):
            self.sums[label] = self.sums.get(label, 0) + value

    def largest(self) -> Sequence[tuple[str, float]]:
        """Return the longest bars, which are all that are drawn."""
        return sorted(self.sums.items(), key=itemgetter(1), reverse=True)[:BARS]


@dataclass(slots=True)
class LineData:
    """Points by series."""

    chart: Lines
    points: dict[str, list[tuple[datetime, float]]] = field(default_factory=dict)
    count: int = 0

    def take(self, values: dict[str, Cell]) -> None:
        at, value = values[self.chart.at], values[self.chart.value]
        if isinstance(at, datetime) and isinstance(value, int | float) and self.count < MOST_POINTS:
            self.points.setdefault(_text(values[self.chart.series]), []).append((at, value))
            self.count += 1

    def largest(self) -> Sequence[tuple[str, list[tuple[datetime, float]]]]:
        """Return the series that reach highest, which are all that are drawn, in the order of their names."""
        by_height = sorted(self.points.items(), key=lambda each: max(value for _, value in each[1]), reverse=True)
        return sorted(by_height[:SERIES])


def collected(table: Spool, check: Callable[[], None]) -> Sequence[BarData | LineData]:
    """Read a table for its charts."""
    found = [_empty(chart) for chart in table.charts]
    names = [column.name for column in table.columns]
    for batch in table.batches() if found else ():
        check()
        for row in batch:
            values = dict(zip(names, row, strict=True))
            for each in found:
                each.take(values)
    return found


def _empty(chart: Chart) -> BarData | LineData:
    return BarData(chart) if isinstance(chart, Bars) else LineData(chart)


def _text(value: Cell) -> str:
    return NOTHING if value is None or value == "" else str(value)
