"""Moments as the clocks of a zone show them, also on the days when these are changed."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from apps.jobs.types.report.latency import cuts
from tests.jobs.types.report.conftest import a_failure, a_job, make

pytestmark = pytest.mark.usefixtures("db")
BERLIN = "Europe/Berlin"
AUTUMN = {"from": "2026-10-25T00:00:00+02:00", "to": "2026-10-26T00:00:00+01:00", "timezone": BERLIN}
SPRING = {"from": "2026-03-29T00:00:00+01:00", "to": "2026-03-30T00:00:00+02:00", "timezone": BERLIN}


def spans(since, until, zone, interval):
    found = [each.astimezone(ZoneInfo(zone)) for each in cuts(since, until, zone=ZoneInfo(zone), interval=interval)]
    return [each.isoformat() for each in found]


def test_a_day_of_a_zone_has_23_or_25_hours_where_its_clocks_change():
    since, until = datetime(2026, 10, 24, 10, tzinfo=UTC), datetime(2026, 10, 27, tzinfo=UTC)

    assert [
        "2026-10-24T12:00:00+02:00", "2026-10-25T00:00:00+02:00", "2026-10-26T00:00:00+01:00", "2026-10-27T00:00:00+01:00",
    ] == spans(since, until, BERLIN, "day")


def test_an_hour_that_the_clocks_show_twice_is_two():
    since, until = datetime(2026, 10, 24, 23, 30, tzinfo=UTC), datetime(2026, 10, 25, 3, tzinfo=UTC)

    assert [
        "2026-10-25T01:30:00+02:00", "2026-10-25T02:00:00+02:00", "2026-10-25T02:00:00+01:00", "2026-10-25T03:00:00+01:00",
    ] == spans(since, until, BERLIN, "hour")


def test_an_hour_that_the_clocks_leave_out_is_none():
    since, until = datetime(2026, 3, 29, 0, tzinfo=UTC), datetime(2026, 3, 29, 3, tzinfo=UTC)

    assert ["2026-03-29T01:00:00+01:00", "2026-03-29T03:00:00+02:00", "2026-03-29T04:00:00+02:00"] == spans(
        since, until, BERLIN, "hour")


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "Australia/Lord_Howe", "Africa/Cairo", "America/Sao_Paulo", "Pacific/Apia"])
@pytest.mark.parametrize("interval", ["hour", "day"])
def test_cuts_always_go_on_and_leave_nothing_out(zone, interval):
    since, until = datetime(2011, 12, 20, 3, 17, tzinfo=UTC), datetime(2012, 12, 20, tzinfo=UTC)
    found = list(cuts(since, until, zone=ZoneInfo(zone), interval=interval))

    steps = {later - earlier for earlier, later in pairwise(found)}
    assert (since, found) == (found[0], sorted(set(found)))
    assert max(steps) <= timedelta(hours=1 if interval == "hour" else 26)


@pytest.mark.parametrize(("period", "hours"), [(AUTUMN, 25), (SPRING, 23)])
def test_a_day_of_changed_clocks_is_reported_whole(period, hours):
    since = datetime.fromisoformat(period["from"]).astimezone(UTC)
    for number in range(-1, hours + 1):
        a_job(created=since + timedelta(hours=number, minutes=10))

    by_hour = make("queue_latency", "csv", **period).csv()
    by_day = make("queue_latency", "csv", **period, filters={"interval": "day"}).csv()

    assert ([1] * hours, [hours]) == ([int(row["jobs"]) for row in by_hour], [int(row["jobs"]) for row in by_day])
    assert hours == len({row["from"] for row in by_hour})
    assert [(period["from"], period["to"])] == [(row["from"], row["to"]) for row in by_day]


def test_both_moments_of_a_repeated_hour_are_told_apart_in_every_format():
    job_id = a_job()
    first, second = datetime(2026, 10, 25, 0, 30, tzinfo=UTC), datetime(2026, 10, 25, 1, 30, tzinfo=UTC)
    a_failure(job_id, finished=first, number=1)
    a_failure(job_id, finished=second, number=2)
    asked = {**AUTUMN, "filters": {"details": True}}

    csv = make("jobs_failures", "csv", **asked).csv()
    sheet = make("jobs_failures", "xlsx", **asked).book()["failures"]
    pdf = "\n".join(make("jobs_failures", "pdf", **asked).pages())

    assert ["2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00"] == [row["at"] for row in csv]
    cells = [row[0] for row in sheet.iter_rows(min_row=2)]
    assert [datetime(2026, 10, 25, 2, 30)] * 2 == [each.value for each in cells]  # noqa: DTZ001  a date cell has no zone
    assert [True, True] == ["+02:00" in cells[0].number_format, "+01:00" in cells[1].number_format]
    assert "2026-10-25 02:30:00.000+02:00" in pdf
    assert "2026-10-25 02:30:00.000+01:00" in pdf


def test_the_same_moments_are_the_same_report_whatever_their_offsets():
    a_job(created=datetime(2026, 11, 1, 23, 30, tzinfo=UTC))
    plain = {"from": "2026-11-01T23:00:00Z", "to": "2026-11-02T00:00:00Z"}
    other = {"from": "2026-11-02T04:30:00+05:30", "to": "2026-11-01T20:30:00-03:30"}

    assert make("jobs_summary", "csv", **plain).content == make("jobs_summary", "csv", **other).content
    assert "1" == make("jobs_summary", "csv", **other).csv()[0]["jobs"]
