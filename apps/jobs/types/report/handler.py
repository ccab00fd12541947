"""`report.generate`: read, write, keep."""

import tempfile
from datetime import UTC, timedelta
from pathlib import Path

from apps.jobs.conf import config
from apps.jobs.outcomes import JSON, Discard, Outcome
from apps.jobs.registry import Context, job_type
from apps.jobs.types.report import csv_file, pdf_file, xlsx_file
from apps.jobs.types.report.document import Document
from apps.jobs.types.report.errors import ReportTooLarge, ReportTooSlow
from apps.jobs.types.report.pace import Pace
from apps.jobs.types.report.payload import ReportRequest
from apps.jobs.types.report.reading import snapshot
from apps.jobs.types.report.sink import Sink
from apps.jobs.types.report.spool import Spool
from core import clock


@job_type(
    "report.generate",
    payload=ReportRequest,
    max_attempts=3,
    timeout=timedelta(minutes=30),
    batch=1,   # it has a process for itself: others would wait behind it
)
def generate(job: Context, payload: ReportRequest) -> Outcome | JSON:
    """Make a report over a period as CSV, XLSX or PDF, and keep it as an artifact.

    What is too large or too slow ends the job, because the next attempt would be no smaller. A repeat reads anew, and its
    file takes the place of the earlier one.
    """
    pace = Pace(job)
    with tempfile.TemporaryDirectory(prefix="latchwork-report-") as name:
        folder = Path(name)
        try:
            document = _read(payload, folder, pace)
            path = folder / payload.file_name
            left_out = _written(document, path, payload.format, pace)
        except (ReportTooLarge, ReportTooSlow) as exc:
            return Discard(reason=str(exc), error=type(exc).__name__)
        size = path.stat().st_size
        artifact = job.save_artifact(path.name, path, most_bytes=config().report_max_bytes)
    detail = document.tables[-1]
    job.logger.info("report.made", report=payload.report, format=payload.format, rows=detail.rows, bytes=size)
    return {
        "artifact": str(artifact), "name": payload.file_name, "bytes": size, "report": payload.report,
        "format": payload.format, "rows": detail.rows, "left_out": left_out,
        "columns": [column.name for column in detail.columns],
        "tables": {table.name: table.rows for table in document.tables},
    }


def _read(payload: ReportRequest, folder: Path, pace: Pace) -> Document:
    asked, kind = payload.asked, payload.kind
    read_at = clock.now()
    spools = []
    with snapshot(pace.check) as moment:
        tables = kind.build(moment, asked)
        if not tables or len({table.name for table in tables}) != len(tables):
            raise ValueError(f"report {kind.name}: return tables, each with a name of its own")
        for number, table in enumerate(tables[-1:] if payload.format == "csv" else tables):
            pace.begin(f"reading {table.name}")
            spools.append(Spool.filled(folder / f"{number}.rows", table, pace))
    given = ", ".join(f"{name} {value}" for name, value in payload.filters.items())
    shown = [moment.astimezone(asked.zone).isoformat(" ") for moment in (asked.since, asked.until)]
    return Document(
        title=kind.title,
        facts=(
            ("from", shown[0]), ("to", f"{shown[1]} (not included)"), ("time zone", payload.timezone),
            ("filters", given or "none"), ("read at", read_at.astimezone(UTC).isoformat(" ", "seconds")),
            *((f"rows of {table.name}", str(table.rows)) for table in spools),
        ),
        zone=asked.zone,
        tables=spools,
    )


def _written(document: Document, path: Path, form: str, pace: Pace) -> int:
    tables = document.tables[-1:] if form == "csv" else document.tables
    pace.begin(f"writing {form}", total=sum(table.rows for table in tables))
    with path.open("wb") as file, Sink(file, pace.check, most_bytes=config().report_max_bytes) as sink:
        match form:
            case "csv":
                return csv_file.write(document, sink, pace)
            case "xlsx":
                return xlsx_file.write(document, sink, pace, folder=path.parent)
            case _:
                return pdf_file.write(document, sink, pace)
