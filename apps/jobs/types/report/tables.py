"""What a report consists of: tables of rows, and the charts that a PDF draws from them."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

NAME = re.compile(r"[a-z][a-z0-9_]{0,30}")   # a sheet's name too, of which XLSX allows 31 characters
TAKEN = ("about", "history")   # a sheet of ours, and one of Excel's


@dataclass(frozen=True, slots=True)
class Column:
    """A column; `width` is in characters, for layout alone. Say units in the name: `wait_p95_seconds`."""

    name: str
    width: int = 0

    @property
    def room(self) -> int:
        return self.width or max(len(self.name), 8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bars:
    """A bar for each different text of the columns `label`, as long as the sum of the column `value`."""

    title: str
    label: Sequence[str]
    value: str

    @property
    def columns(self) -> Sequence[str]:
        return (*self.label, self.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """A line for each text of the column `series`: the column `value` over the moments of the column `at`."""

    title: str
    at: str
    value: str
    series: str

    @property
    def columns(self) -> Sequence[str]:
        return (self.at, self.value, self.series)


Chart = Bars | Lines


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One table. `rows` is read once, in a snapshot; each row has a value for each column."""

    name: str
    columns: Sequence[Column]
    rows: Iterable[Sequence[object]]
    charts: Sequence[Chart] = ()

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name) or self.name in TAKEN:
            raise ValueError(f"{self.name!r} is no name for a table: a letter, then letters, digits, _, all lower-case, 31 at most, not about or history")
        names = self.names
        if not names or len(set(names)) != len(names):
            raise ValueError(f"table {self.name}: give it columns, each with a name of its own")
        if missing := [name for chart in self.charts for name in chart.columns if name not in names]:
            raise ValueError(f"table {self.name}: a chart names {missing[0]!r}, which is no column; there are {', '.join(names)}")

    @property
    def names(self) -> list[str]:
        return [column.name for column in self.columns]
