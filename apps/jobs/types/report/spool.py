"""Rows on disk between reading and writing: the snapshot ends before the first cell is formatted."""

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

from apps.jobs.types.report.cells import Cell, Row, cell
from apps.jobs.types.report.pace import Pace
from apps.jobs.types.report.tables import Chart, Column, Table

BATCH = 500
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
MOMENT = "at"   # no cell is an object otherwise


class Spool:
    """A table whose rows stand in a file, a batch a line; it can be read as often as needed."""

    def __init__(self, path: Path, table: Table) -> None:
        self._path = path
        self.name: str = table.name
        self.columns: Sequence[Column] = table.columns
        self.charts: Sequence[Chart] = table.charts
        self.rows = 0

    @classmethod
    def filled(cls, path: Path, table: Table, pace: Pace) -> "Spool":
        """Read a table's rows to their end."""
        spool = cls(path, table)
        rows = iter(table.rows)
        with path.open("w", encoding="utf-8") as file:
            while batch := [spool.checked(row) for row in islice(rows, BATCH)]:
                json.dump(batch, file, default=_packed, ensure_ascii=False, separators=(",", ":"))
                file.write("\n")
                spool.rows += len(batch)
                pace.step(len(batch))
        return spool

    def checked(self, row: Iterable[object]) -> Row:
        """Return a row's cells; a row of another length than the table's is a mistake of the report's author."""
        cells = [cell(value) for value in row]
        if len(cells) != len(self.columns):
            raise ValueError(f"table {self.name}: a row has {len(cells)} values for {len(self.columns)} columns")
        return cells

    def batches(self) -> Iterator[list[Row]]:
        """Yield the rows as they were read, some hundreds at a time."""
        with self._path.open(encoding="utf-8") as file:
            for line in file:
                yield json.loads(line, object_hook=_unpacked)


def _packed(value: datetime) -> dict[str, int]:
    return {MOMENT: (value - EPOCH) // MICROSECOND}


def _unpacked(packed: dict[str, int]) -> Cell:
    return EPOCH + packed[MOMENT] * MICROSECOND
