"""The load test against a real web server."""

import pytest

from apps.jobs.management.load import Latency, latency
from apps.jobs.models import Job

pytestmark = pytest.mark.django_db(transaction=True)


def test_all_jobs_are_posted_and_their_ends_reported(typed, stack, worker):
    said = typed("loadtest", *stack, "--count=12", "--concurrency=3", "--poll", "--json")

    facts = said.facts
    assert (0, True, 12, {"completed": 12}) == (said.status, facts["ok"], facts["accepted"], facts["ends"]["by_status"])
    assert 0 < facts["latency_ms"]["p50"] <= facts["latency_ms"]["p95"] <= facts["latency_ms"]["p99"]
    assert facts["ends"]["per_second"] > 0
    assert 12 == Job.objects.filter(tags__contains=[facts["tag"]]).count()


def test_people_get_progress_and_a_report(typed, stack):
    said = typed("loadtest", *stack, "--count=3", "--concurrency=1")

    assert "posted 3 of 3\n" in said.err
    assert "3 of 3 in" in said.out
    assert "p95" in said.out


def test_a_rate_limit_is_honoured_and_all_arrive_in_the_end(typed, stack, settings):
    settings.RATE_LIMIT = "5/second"

    facts = typed("loadtest", *stack, "--count=12", "--concurrency=4", "--json").facts

    assert (12, {}, True) == (facts["accepted"], facts["failed"], facts["limited"] > 0)
    assert facts["limited"] < 40   # those who were told to wait did


def test_a_refusal_that_will_not_change_ends_the_run(typed, stack):
    said = typed("loadtest", *stack, "--count=500", "--concurrency=2", "--type=no.such", "--json")

    assert (1, 0) == (said.status, said.facts["accepted"])
    assert sum(said.facts["failed"].values()) <= 2
    assert "'no.such' is not a job type" in said.err


def test_jobs_that_do_not_end_end_the_run_in_time(typed, stack):
    said = typed("loadtest", *stack, "--count=2", "--poll", "--timeout=1.5", "--json")

    assert (1, {"queued": 2}, False) == (said.status, said.facts["ends"]["by_status"], said.facts["ok"])
    assert "1.5 s are over" in said.err


def test_another_machine_is_loaded_only_on_purpose(typed):
    said = typed("loadtest", "--url=https://example.com", "--token=t", "--count=1")

    assert (1, True) == (said.status, "say --yes-remote" in said.err)


def test_a_stack_that_is_away_is_counted_as_unreachable(typed):
    said = typed("loadtest", "--url=http://127.0.0.1:1", "--token=t", "--count=2", "--yes-remote", "--json")

    assert (1, {"Unreachable": 2}, None) == (said.status, said.facts["failed"], said.facts["latency_ms"])


def test_percentiles_are_latencies_that_really_were():
    assert latency([]) is None
    assert Latency(p50=50, p95=95, p99=99, most=100) == latency([number / 1000 for number in range(100, 0, -1)])
    assert Latency(p50=7, p95=7, p99=7, most=7) == latency([0.007])
