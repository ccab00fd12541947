"""Jobs and attempts at known moments, committed, because a report reads on a connection of its own; and its files, opened."""

import csv
import io
import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import openpyxl
import pypdf
import pytest
from django.db import connection

from apps.jobs import testing
from apps.jobs.services import artifacts
from core.ids import uuid7

DAY = datetime(2026, 11, 2, tzinfo=UTC)
TABLES = ("job", "job_attempt", "job_artifact", "job_loose_file", "job_worker", "job_tally", "job_stale_write")
PERIOD = {"from": "2026-11-02T00:00:00Z", "to": "2026-11-03T00:00:00Z"}


@pytest.fixture
def db(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """Commit what the test stores, and remove it afterwards: a few tables, where a flush would take all.

    It has the name of pytest-django's fixture, so that pytest-django makes the test database and orders these tests.
    """
    with django_db_blocker.unblock():
        yield
        with connection.cursor() as cursor:
            cursor.execute(f"TRUNCATE {', '.join(TABLES)}")
        connection.close()


def at(seconds: float) -> datetime:
    """Return a moment of the day that the tests report on."""
    return DAY + timedelta(seconds=seconds)


def a_job(
    *, created: datetime = DAY, wait: float | None = 1.0, run: float | None = 2.0, status: str = "completed",
    kind: str = "test.echo", queue: str = "default", tags: list[str] | None = None, attempt: int = 1, failures: int = 0,
) -> uuid.UUID:
    """Store a job as it stands after its wait and its run; None for what has not happened."""
    job_id = uuid7()
    started = None if wait is None else created + timedelta(seconds=wait)
    finished = status in ("completed", "cancelled", "dead_letter")
    ended = (started or created) + timedelta(seconds=run or 0) if finished else None
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO job (id, type, queue, priority, status, attempt, max_attempts, failures, rescues, fence, worker_id,"
            " timeout_seconds, run_at, created_at, started_at, finished_at, tags, payload, payload_version, request_id)"
            " VALUES (%s, %s, %s, 5, %s, %s, 5, %s, 0, 1, %s, 60, %s, %s, %s, %s, %s, '{}', 1, '')",
            [job_id, kind, queue, status, attempt, failures, uuid7(), created, created, started, ended, tags or []],
        )
    return job_id


def a_failure(
    job_id: uuid.UUID, *, finished: datetime = DAY, message: str = "boom", error: str | None = "ValueError", outcome: str = "failed",
    number: int = 1, run: float = 2.0,
) -> None:
    """Store an attempt that failed."""
    described = None if error is None else json.dumps({"class": error, "message": message, "traceback": "t" * 100})
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO job_attempt (job_id, number, fence, outcome, error, started_at, finished_at)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s)",
            [job_id, number, number, outcome, described, finished - timedelta(seconds=run), finished],
        )


@dataclass(frozen=True, slots=True)
class Made:
    """A report that was made: what the job says of it, and its file."""

    result: dict[str, Any]
    content: bytes
    handled: testing.Handled

    def csv(self) -> list[dict[str, str]]:
        """Return a CSV's rows, by an ordinary reader."""
        return list(csv.DictReader(io.StringIO(self.content.decode(), newline="")))

    def book(self) -> openpyxl.Workbook:
        """Return an XLSX, opened by another library."""
        return openpyxl.load_workbook(io.BytesIO(self.content))

    def sheet(self, name: str) -> list[dict[str, Any]]:
        """Return a sheet's rows."""
        header, *rows = self.book()[name].iter_rows(values_only=True)
        return [dict(zip(header, row, strict=True)) for row in rows]

    def pages(self) -> list[str]:
        """Return a PDF's texts, page by page, by another library."""
        return [page.extract_text() for page in pypdf.PdfReader(io.BytesIO(self.content)).pages]


def make(report: str, form: str, **payload: Any) -> Made:
    """Make a report as an attempt does, over the day of the tests unless told otherwise."""
    handled = testing.run_handler("report.generate", {"report": report, "format": form, **PERIOD, **payload})
    assert isinstance(handled.result, dict), handled.outcome
    with artifacts.open(uuid.UUID(handled.result["artifact"])) as file:
        return Made(handled.result, file.read(), handled)


def sql(query: str, params: Any = None) -> list[tuple[Any, ...]]:
    """Ask the database what a report should say."""
    with connection.cursor() as cursor:
        cursor.execute(query, params)
        return cursor.fetchall()


Maker = Callable[..., Made]
