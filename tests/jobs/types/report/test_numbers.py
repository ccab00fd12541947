"""The numbers of the platform's own reports: they are SQL's, in every format."""

from datetime import datetime, timedelta

import pytest

from tests.jobs.types.report.conftest import DAY, a_failure, a_job, at, make, sql

pytestmark = pytest.mark.usefixtures("db")
P = "percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY {})"


@pytest.fixture
def busy():
    """A day with jobs of two types in two queues, and some that lie just outside."""
    for number in range(60):
        a_job(
            created=at(number * 1000), wait=number / 7, run=number / 3, kind=f"test.t{number % 2}", queue=f"q{number % 3}",
            status=("completed", "completed", "dead_letter", "queued", "cancelled")[number % 5], tags=["even"] * (number % 2 == 0),
            attempt=number % 4, failures=number % 2,
        )
    a_job(created=DAY - timedelta(microseconds=1))
    a_job(created=DAY + timedelta(days=1))


EXPECTED = f"""
SELECT type, queue, status, count(*), sum(attempt), sum(failures),
  CASE WHEN status IN ('completed', 'dead_letter') THEN {P.format('extract(epoch FROM started_at - run_at)')} END,
  CASE WHEN status IN ('completed', 'dead_letter') THEN {P.format('extract(epoch FROM finished_at - started_at)')} END
FROM job WHERE created_at BETWEEN %(first)s AND %(last)s GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"""
LAST = DAY + timedelta(days=1) - timedelta(microseconds=1)


def rounded(number):
    """Return a number to the microsecond, as PostgreSQL rounds it."""
    return sql("SELECT round(%s::float8::numeric, 6)::float8", [number])[0][0]


def expected_summary():
    flat = []
    for *head, waits, runs in sql(EXPECTED, {"first": DAY, "last": LAST}):
        numbers = [each if each is None else rounded(each) for each in (*(waits or [None] * 3), *(runs or [None] * 3))]
        flat.append([*head[:3], *map(int, head[3:]), *numbers])
    return flat


def test_a_summary_says_in_csv_and_xlsx_what_sql_says(busy):
    csv, xlsx = make("jobs_summary", "csv"), make("jobs_summary", "xlsx")
    expected = expected_summary()

    in_csv = [list(row.values()) for row in csv.csv()]
    assert [["" if each is None else str(each) for each in row] for row in expected] == in_csv
    assert expected == [list(row.values()) for row in xlsx.sheet("jobs")]
    assert (csv.result["rows"], xlsx.result["rows"]) == (len(expected), len(expected))
    assert csv.result["columns"] == list(csv.csv()[0])
    assert 60 == sum(row[3] for row in expected)


def test_a_summary_says_in_pdf_what_sql_says(busy):
    text = "\n".join(make("jobs_summary", "pdf").pages()).splitlines()

    for type_name, queue, status, *numbers in expected_summary():
        shown = ["" if each is None else f"{each:.6f}".rstrip("0").rstrip(".") for each in numbers]
        assert " ".join([type_name, queue, status, *filter(None, shown)]) in text


@pytest.mark.parametrize(("filters", "where"), [
    ({"type": "test.t1"}, "type = 'test.t1'"),
    ({"queue": "q2"}, "queue = 'q2'"),
    ({"status": "dead_letter"}, "status = 'dead_letter'"),
    ({"tag": "even"}, "'even' = ANY(tags)"),
    ({"type": "test.t0", "queue": "q1", "status": "completed", "tag": "even"},
     "type = 'test.t0' AND queue = 'q1' AND status = 'completed' AND 'even' = ANY(tags)"),
    ({"type": "nobody.knows"}, "false"),
])   # fmt: skip
def test_filters_narrow(busy, filters, where):
    rows = make("jobs_summary", "csv", filters=filters).csv()

    ((expected,),) = sql(f"SELECT count(*) FROM job WHERE created_at BETWEEN %s AND %s AND {where}", [DAY, LAST])
    assert expected == sum(int(row["jobs"]) for row in rows)


def test_a_wait_that_the_row_does_not_tell_is_left_out():
    job_id = a_job(created=at(0), wait=1, status="retrying")   # its start is of the attempt before, its due time lies ahead
    sql("UPDATE job SET run_at = run_at + interval '1 hour' WHERE id = %s RETURNING 1", [job_id])
    a_job(created=at(0), wait=5, run=7, status="cancelled")

    rows = make("jobs_summary", "csv").csv()

    assert [("cancelled", "", ""), ("retrying", "", "")] == [
        (row["status"], row["wait_p99_seconds"], row["run_p99_seconds"]) for row in rows
    ]


def test_latency_counts_the_jobs_of_the_summary_hour_by_hour(busy):
    rows = make("queue_latency", "csv").csv()
    expected = sql(
        "SELECT date_trunc('hour', created_at), queue, count(*), count(*) FILTER (WHERE status IN ('completed', 'dead_letter')),"
        " max(extract(epoch FROM started_at - run_at)) FILTER (WHERE status IN ('completed', 'dead_letter'))"
        " FROM job WHERE created_at BETWEEN %s AND %s GROUP BY 1, 2 ORDER BY 1, 2", [DAY, LAST],
    )

    assert [(hour, queue, jobs, started, round(float(most), 6) if started else None) for hour, queue, jobs, started, most in expected] == [
        (datetime.fromisoformat(row["from"]), row["queue"], int(row["jobs"]), int(row["started"]),
         float(row["wait_max_seconds"]) if row["wait_max_seconds"] else None)
        for row in rows
    ]
    assert 60 == sum(int(row["jobs"]) for row in rows)
    assert {"1:00:00"} == {str(datetime.fromisoformat(row["to"]) - datetime.fromisoformat(row["from"])) for row in rows}


@pytest.fixture
def failing():
    """Failures of three kinds: one job that came through in the end, one that did not, and what is no failure."""
    good, dead = a_job(created=at(0)), a_job(created=at(0), status="dead_letter", kind="test.other", queue="slow", tags=["x"])
    for number in range(4):
        a_failure(good, finished=at(100 + number), number=number + 1, message=f"try {number}")
    a_failure(dead, finished=at(300), number=1, message="gone", error="apps.errors.Gone", outcome="discarded", run=1.5)
    a_failure(dead, finished=at(400), number=2, error=None, outcome="worker_lost")
    a_failure(good, finished=at(500), number=9, outcome="snoozed")
    a_failure(good, finished=DAY - timedelta(seconds=1), number=10)
    return good, dead


def test_failures_are_grouped_by_error_with_the_latest_as_the_example(failing):
    good, dead = map(str, failing)
    rows = make("jobs_failures", "xlsx").sheet("errors")

    shown = [tuple(row[name] for name in ("error", "type", "failures", "jobs", "dead_letters", "example_job", "example_message"))
             for row in rows]   # fmt: skip
    assert [
        ("ValueError", "test.echo", 4, 1, 0, good, "try 3"),
        ("apps.errors.Gone", "test.other", 1, 1, 1, dead, "gone"),
        ("worker_lost", "test.other", 1, 1, 1, dead, None),
    ] == shown
    assert (at(100), at(103)) == tuple(rows[0][name].replace(tzinfo=DAY.tzinfo) for name in ("first_at", "last_at"))


def test_details_are_a_row_for_each_failure_in_their_order(failing):
    made = make("jobs_failures", "csv", filters={"details": True})

    assert ["try 0", "try 1", "try 2", "try 3", "gone", ""] == [row["message"] for row in made.csv()]
    assert {
        "at": at(300).isoformat(), "job": str(failing[1]), "type": "test.other", "queue": "slow", "attempt": "1",
        "outcome": "discarded", "error": "apps.errors.Gone", "message": "gone", "run_seconds": "1.5", "job_status": "dead_letter",
    } == made.csv()[4]


@pytest.mark.parametrize(("filters", "count"), [
    ({"error": "ValueError"}, 4), ({"error": "worker_lost"}, 1), ({"status": "dead_letter"}, 2), ({"queue": "slow"}, 2),
    ({"tag": "x", "error": "apps.errors.Gone"}, 1), ({"type": "test.nothing"}, 0),
])   # fmt: skip
def test_failures_are_narrowed(failing, filters, count):
    made = make("jobs_failures", "xlsx", filters={**filters, "details": True})

    assert count == len(made.sheet("failures")) == sum(row["failures"] for row in made.sheet("errors"))


@pytest.mark.parametrize("form", ["csv", "xlsx", "pdf"])
@pytest.mark.parametrize(("name", "table"), [("jobs_summary", "jobs"), ("queue_latency", "latency"), ("jobs_failures", "errors")])
def test_an_empty_period_is_a_report_without_rows(form, name, table):
    made = make(name, form)

    assert 0 == made.result["rows"]
    if form == "csv":
        assert [] == made.csv()
        assert made.content.decode().startswith(made.result["columns"][0])
    elif form == "xlsx":
        assert [] == made.sheet(table)
    else:
        assert "No rows in this period." in "\n".join(made.pages())
