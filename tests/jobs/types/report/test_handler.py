"""The job around a report: what it keeps, how far it is, how it ends, and reports of users."""

import logging
import tempfile
import uuid
from dataclasses import replace

import pytest
from pydantic import Field

from apps.jobs import Discard, registry, services, testing
from apps.jobs.errors import Cancelled, DeadlineExceeded, InvalidJob
from apps.jobs.lifecycle import Status
from apps.jobs.models import Artifact
from apps.jobs.services import artifacts
from apps.jobs.types.report import Bars, Column, Filters, Table, report, xlsx_file
from apps.jobs.types.report import registry as reports
from tests.jobs.types.report.conftest import PERIOD, a_failure, a_job, at, make, sql
from tests.support import factories

pytestmark = pytest.mark.usefixtures("db")
FORMS = ("csv", "xlsx", "pdf")
SUMMARY = {"report": "jobs_summary", **PERIOD}


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """A folder for temporary files that nobody else uses."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(("form", "content_type"), [
    ("csv", "text/plain"),
    ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ("pdf", "application/pdf"),
])   # fmt: skip
def test_a_job_keeps_its_report_as_an_artifact(form, content_type, temporary):
    a_job()
    job_id = services.enqueue("report.generate", {**SUMMARY, "format": form})
    (ran,) = testing.drain()

    assert (job_id, Status.COMPLETED) == (ran.id, ran.status), ran.error
    (artifact,) = Artifact.objects.filter(job_id=job_id)
    assert {
        "artifact": str(artifact.id), "name": artifact.name, "bytes": artifact.size, "report": "jobs_summary", "format": form,
        "rows": 1, "left_out": 0, "columns": ran.result["columns"], "tables": {"jobs": 1},
    } == ran.result
    assert (f"jobs_summary-20261102T0000Z-20261103T0000Z.{form}", content_type) == (artifact.name, artifact.content_type)
    assert [] == list(temporary.iterdir())


def test_another_attempt_replaces_the_file():
    a_job()
    job_id = services.enqueue("report.generate", {**SUMMARY, "format": "csv"})
    first = testing.drain()[0].result
    a_job(status="cancelled")
    services.retry(job_id)
    second = testing.drain()[0].result

    assert (first["artifact"], 1, 2) == (second["artifact"], first["rows"], second["rows"])
    with artifacts.open(uuid.UUID(second["artifact"])) as file:
        assert 3 == len(file.read().splitlines())


def test_progress_tells_what_is_read_and_how_much_of_it_is_written():
    job_id = a_job()
    for number in range(1200):
        a_failure(job_id, number=number, finished=at(number))
    told = make("jobs_failures", "csv", filters={"details": True}).handled.progress

    assert [(0, None, "reading failures"), (500, None, "reading failures"), (1000, None, "reading failures")] == [
        (each.done, each.total, each.note) for each in told[:3]
    ]
    assert (1200, 1200, "writing csv") == (told[-1].done, told[-1].total, told[-1].note)


@pytest.mark.parametrize("form", FORMS)
def test_wherever_it_is_cancelled_nothing_is_left(form, temporary):
    job_id = a_job()
    for number in range(600):
        a_failure(job_id, number=number, finished=at(number))
    payload = {"report": "jobs_failures", **PERIOD, "format": form, "filters": {"details": True}}

    cancelled = 0
    for passes in (*range(12), *range(12, 2000, 150)):
        try:
            testing.run_handler("report.generate", payload, cancel_after=passes)
        except Cancelled:
            cancelled += 1
            assert ([], 0) == (list(temporary.iterdir()), Artifact.objects.count())
        else:
            break

    assert 1 == Artifact.objects.count()
    assert cancelled >= 8   # before, while reading, while writing, while closing


def test_a_deadline_ends_it_in_the_middle(temporary):
    from datetime import timedelta

    with pytest.raises(DeadlineExceeded):
        testing.run_handler("report.generate", {**SUMMARY, "format": "csv"}, timeout=timedelta(seconds=-1))

    assert [] == list(temporary.iterdir())


@pytest.mark.parametrize("form", FORMS)
def test_a_file_that_is_too_large_ends_the_job_with_what_to_do(form, settings, temporary):
    settings.JOBS = replace(settings.JOBS, report_max_bytes=50)

    outcome = testing.run_handler("report.generate", {**SUMMARY, "format": form}).outcome

    assert (Discard, "ReportTooLarge") == (type(outcome), outcome.error)
    assert outcome.reason.startswith("the file has more than 50 bytes: narrow the period or filter more")
    assert "REPORT_MAX_BYTES" in outcome.reason
    assert ([], 0) == (list(temporary.iterdir()), Artifact.objects.count())


def test_a_report_may_be_larger_than_what_is_sent_in(settings):
    settings.JOBS = replace(settings.JOBS, artifact_max_bytes=50)

    assert make("jobs_summary", "csv").result["bytes"] > 50


def test_more_rows_than_a_sheet_holds_are_refused_before_the_first_is_written(monkeypatch):
    monkeypatch.setattr(xlsx_file, "MOST_ROWS", 1)
    a_job()
    a_job(status="cancelled")

    outcome = testing.run_handler("report.generate", {**SUMMARY, "format": "xlsx"}).outcome

    assert "table jobs has 2 rows, a sheet at most 1: narrow the period or filter more, or take csv" == outcome.reason


def test_a_pdf_says_how_many_rows_it_leaves_out_and_goes_on_over_pages():
    job_id = a_job()
    sql(
        "INSERT INTO job_attempt (job_id, number, fence, outcome, finished_at)"
        " SELECT %s, n, n, 'failed', %s + n * interval '1 s' FROM generate_series(1, 1234) n RETURNING 1", [job_id, at(0)],
    )
    made = make("jobs_failures", "pdf", filters={"details": True})
    pages = made.pages()

    assert (734, {"errors": 1, "failures": 1234}) == (made.result["left_out"], made.result["tables"])
    assert "1234 rows; 734 of them are left out here: CSV and XLSX have them all." in pages[-1]
    assert 5 < len(pages) < 30
    assert all(f"page {number}" in page for number, page in enumerate(pages, 1))
    assert all("job_status" in page for page in pages[1:])
    assert 500 == sum(page.count(str(job_id)) for page in pages) - 1   # the example is one


def test_fonts_say_nothing_to_the_log(caplog):
    caplog.set_level(logging.INFO)
    make("jobs_summary", "pdf")

    assert [] == [record.name for record in caplog.records if record.name.startswith(("fontTools", "fpdf"))]


# Reports of users


class OrderFilters(Filters):
    least: int = Field(0, ge=0)


@pytest.fixture
def own():
    """A report as a user writes it, with every kind of value."""

    @report("orders_by_country", title="Orders by country", filters=OrderFilters)
    def orders(snapshot, asked):
        query = (
            "SELECT 'AT' AS country, 3::bigint, 1.5::numeric, true, ARRAY['a', 'b'], interval '90 s', '{\"k\": 1}'::jsonb,"
            " 'NaN'::float8, 9007199254740993::bigint, timestamptz '1850-01-01Z' WHERE 3 >= %(least)s"
        )
        names = ("country", "orders", "value", "open", "tags", "took", "facts", "odd", "large", "old")
        return [Table(
            name="orders", columns=[Column(name) for name in names],
            rows=snapshot.rows(query, {"least": asked.filters.least}),
            charts=[Bars(title="Orders", label=("country",), value="orders")],
        )]   # fmt: skip

    yield orders
    del reports._reports["orders_by_country"]


def test_a_users_report_is_made_like_ours(own):
    (csv,) = make("orders_by_country", "csv").csv()
    (xlsx,) = make("orders_by_country", "xlsx").sheet("orders")
    pdf = "\n".join(make("orders_by_country", "pdf").pages())

    assert ["AT", "3", "1.5", "true", "a, b", "90.0", '{"k": 1}', "nan", "9007199254740993", "1850-01-01T00:00:00+00:00"] == list(csv.values())
    assert ["AT", 3, 1.5, True, "a, b", 90, '{"k": 1}', "nan", "9007199254740993", "1850-01-01T00:00:00+00:00"] == list(xlsx.values())
    assert "AT 3 1.5 yes a, b 90" in pdf
    assert 0 == make("orders_by_country", "csv", filters={"least": 4}).result["rows"]


def test_a_users_filters_are_checked_when_the_job_is_made(own):
    with pytest.raises(InvalidJob, match="/payload/filters/least: Input should be greater than or equal to 0"):
        registry.get("report.generate").check(
            {**SUMMARY, "report": "orders_by_country", "format": "csv", "filters": {"least": -1}})


@pytest.mark.parametrize(("options", "says"), [
    ({"name": "Jobs Summary"}, "is no name for a report"),
    ({"name": "jobs_summary"}, "is registered twice"),
])   # fmt: skip
def test_a_wrong_registration_is_refused(options, says):
    with pytest.raises(ValueError, match=says):
        report(title="x", **options)(lambda snapshot, asked: [])


@pytest.mark.parametrize(("options", "says"), [
    ({"name": "No Name"}, "is no name for a table"),
    ({"name": "about"}, "is no name for a table"),
    ({"columns": []}, "give it columns"),
    ({"columns": [Column("a"), Column("a")]}, "each with a name of its own"),
    ({"charts": [Bars(title="", label=("b",), value="a")]}, "a chart names 'b', which is no column; there are a"),
])   # fmt: skip
def test_a_wrong_table_is_refused(options, says):
    with pytest.raises(ValueError, match=says):
        Table(**{"name": "rows", "columns": [Column("a")], "rows": [], **options})


def rows_of(name, *rows):
    return Table(name=name, columns=[Column("a")], rows=rows)


@pytest.mark.parametrize(("tables", "says"), [
    ([rows_of("rows", (1, 2))], "table rows: a row has 2 values for 1 columns"),
    ([], "report crooked: return tables"),
    ([rows_of("same", [1]), rows_of("same", [2])], "each with a name of its own"),
])   # fmt: skip
def test_a_mistake_of_a_reports_author_is_told(tables, says):
    report("crooked", title="Crooked")(lambda snapshot, asked: tables)
    try:
        with pytest.raises(ValueError, match=says):
            make("crooked", "csv")
    finally:
        del reports._reports["crooked"]


def test_a_query_without_parameters_may_hold_a_percent_sign():
    report("like", title="Like")(lambda snapshot, asked: [
        Table(name="rows", columns=[Column("a")], rows=snapshot.rows("SELECT 'x' WHERE 'ab' LIKE 'a%'")),
    ])   # fmt: skip
    try:
        assert [{"a": "x"}] == make("like", "csv").csv()
    finally:
        del reports._reports["like"]


def test_a_stored_payload_that_no_longer_fits_ends_as_a_dead_letter_with_the_field():
    job_id = services.enqueue("report.generate", {**SUMMARY, "format": "csv"})
    sql("UPDATE job SET payload = payload || '{\"report\": \"gone\"}' WHERE id = %s RETURNING 1", [job_id])
    (ran,) = testing.drain()

    assert Status.DEAD_LETTER == ran.status
    assert "'gone' is not a report; known are" in factories.row(job_id).error["message"]
