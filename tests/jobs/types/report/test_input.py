"""What a report refuses, when the job is made: each with the field and the reason."""

import json

import pytest

from apps.jobs import registry
from apps.jobs.errors import InvalidJob
from tests.jobs.types.report.conftest import PERIOD

GOOD = {"report": "jobs_summary", **PERIOD, "format": "csv"}


def problems(payload):
    with pytest.raises(InvalidJob) as invalid:
        registry.get("report.generate").check(payload)
    return [(problem.pointer, problem.detail) for problem in invalid.value.problems]


WRONG = [
    ({"report": "jobs_sumary"}, "/payload/report", "'jobs_sumary' is not a report; known are jobs_failures, jobs_summary, queue_latency"),
    ({"report": 7}, "/payload/report", "valid string"),
    ({"format": "docx"}, "/payload/format", "'csv', 'xlsx' or 'pdf'"),
    ({"format": None}, "/payload/format", "'csv', 'xlsx' or 'pdf'"),
    ({"from": "2026-11-02T00:00:00"}, "/payload/from", "with its offset"),
    ({"from": "2026-11-02"}, "/payload/from", "with its offset"),
    ({"from": 1793577600}, "/payload/from", "with its offset"),
    ({"from": "yesterday"}, "/payload/from", "with its offset"),
    ({"from": "2026-02-30T00:00:00Z"}, "/payload/from", "no moment of the calendar"),
    ({"from": "2026-11-02T00:00:00+99:00"}, "/payload/from", "no moment of the calendar"),
    ({"from": "0001-01-01T00:00:00+14:00"}, "/payload/from", "between 2000-01-01 and 2100-01-01"),
    ({"to": "9999-12-31T23:59:59-12:00"}, "/payload/to", "between 2000-01-01 and 2100-01-01"),
    ({"to": "2026-11-02T00:00:00Z"}, "/payload/to", "must lie after from, which is 2026-11-02T00:00:00+00:00"),
    ({"to": "2026-11-02T02:00:00+02:00"}, "/payload/to", "must lie after from"),
    ({"to": "2026-11-01T00:00:00Z"}, "/payload/to", "must lie after from"),
    ({"to": "2027-11-04T00:00:00Z"}, "/payload/to", "within 366 days after from"),
    ({"timezone": "Europe/Berlim"}, "/payload/timezone", "such as Europe/Berlin"),
    ({"timezone": "../../etc/passwd"}, "/payload/timezone", "such as Europe/Berlin"),
    ({"timezone": "Europe"}, "/payload/timezone", "such as Europe/Berlin"),
    ({"timezone": "/etc/localtime"}, "/payload/timezone", "such as Europe/Berlin"),
    *(
        ({"timezone": name}, "/payload/timezone", "is not a time zone of the IANA database")
        for name in ("localtime", "posixrules", "posix/Europe/Berlin", "right/Europe/Berlin", "europe/berlin", "", "UTC ", "tzdata.zi")
    ),
    ({"timezone": "A" * 5000}, "/payload/timezone", "such as Europe/Berlin"),
    ({"filters": {"typ": "email.send"}}, "/payload/filters/typ", "not permitted"),
    ({"filters": {"status": "done"}}, "/payload/filters/status", "'completed'"),
    ({"filters": {"queue": ""}}, "/payload/filters/queue", "at least 1 character"),
    ({"filters": {"tag": "x" * 201}}, "/payload/filters/tag", "at most 200 characters"),
    ({"filters": {"type": ["a", "b"]}}, "/payload/filters/type", "valid string"),
    ({"filters": []}, "/payload/filters", "object"),
    ({"report": "jobs_failures", "filters": {"details": "yes"}}, "/payload/filters/details", "valid boolean"),
    ({"report": "queue_latency", "filters": {"interval": "minute"}}, "/payload/filters/interval", "'hour' or 'day'"),
    ({"report": "queue_latency", "filters": {"status": "completed"}}, "/payload/filters/status", "not permitted"),
    ({"rows": 5}, "/payload/rows", "not permitted"),
    ({"filters": {"type": "a\0b"}}, "/payload", "NUL"),
]


@pytest.mark.parametrize(("wrong", "pointer", "says"), WRONG, ids=[json.dumps(wrong)[:60] for wrong, *_ in WRONG])
def test_a_wrong_payload_is_refused_with_field_and_reason(wrong, pointer, says):
    ((found, detail),) = problems({**GOOD, **wrong})

    assert pointer == found
    assert says in detail


@pytest.mark.parametrize("member", ["report", "from", "to", "format"])
def test_what_is_missing_is_named(member):
    assert [f"/payload/{member}"] == [
        pointer for pointer, _ in problems({name: value for name, value in GOOD.items() if name != member})
    ]


def test_several_mistakes_are_told_at_once():
    found = problems({**GOOD, "format": "doc", "from": "now", "filters": {"queue": 1, "x": 2}})

    assert {"/payload/format", "/payload/from", "/payload/filters/queue", "/payload/filters/x"} == {at for at, _ in found}


@pytest.mark.parametrize("good", [
    {}, {"filters": {}}, {"filters": {"type": None}}, {"timezone": "America/St_Johns"}, {"timezone": "Etc/GMT+5"},
    {"from": "2026-11-02t00:00:00.5z"}, {"from": "2026-11-01T19:00-05:00"}, {"to": "2027-11-03T00:00:00Z"},
    {"filters": {"status": "dead_letter", "type": "no.longer.registered"}},
])   # fmt: skip
def test_what_is_right_passes(good):
    registry.get("report.generate").check({**GOOD, **good})
