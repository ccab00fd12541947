"""A report as CSV: RFC 4180, UTF-8, one table."""

import csv
import io
from datetime import datetime

from apps.jobs.types.report.cells import Cell
from apps.jobs.types.report.document import Document
from apps.jobs.types.report.pace import Pace
from apps.jobs.types.report.sink import Sink

FORMULA = ("=", "+", "-", "@", "\N{FULLWIDTH EQUALS SIGN}", "\N{FULLWIDTH PLUS SIGN}", "\N{FULLWIDTH HYPHEN-MINUS}",
           "\N{FULLWIDTH COMMERCIAL AT}")   # fmt: skip


def write(document: Document, file: Sink, pace: Pace) -> int:
    """Write the last table, the most detailed; return how many rows were left out, which is none."""
    table = document.tables[-1]
    text = io.TextIOWrapper(io.BufferedWriter(file), encoding="utf-8", newline="", write_through=False)
    rows = csv.writer(text)
    rows.writerow([safe(column.name) for column in table.columns])
    for batch in table.batches():
        rows.writerows([_shown(each, document) for each in row] for row in batch)
        pace.step(len(batch))
    text.flush()
    text.detach().detach()   # closing is the owner's
    return 0


def safe(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula: one that looks like it is preceded by an apostrophe."""
    begins = text.lstrip()[:1]
    return f"'{text}" if begins and (begins in FORMULA or text[0] in "\t\n") else text


def _shown(each: Cell, document: Document) -> str | int | float:
    match each:
        case None:
            return ""
        case bool():
            return "true" if each else "false"
        case str():
            return safe(each)
        case datetime():
            return document.local(each).isoformat()
        case _:
            return each
