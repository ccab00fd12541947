"""What a churn is judged by."""

import pytest

from apps.jobs.transitions import fetch, insert, presence, settle
from bench import options, tenths


@pytest.mark.parametrize(("name", "query"), [
    ("fetch", fetch._FETCH), ("settle", settle._SETTLE), ("insert", insert._INSERT_ALIKE), ("insert", insert._INSERT_ANY),
    ("presence", presence._STOPPING), ("other", "SELECT 1"),
])
def test_a_statement_is_named_by_what_it_does(name, query):
    assert name == tenths.statement(query)


def test_costs_are_summed_by_statement():
    found = tenths.sums([(fetch._FETCH, 20.0), (fetch._FETCH, 10.0), ("SELECT 1", 10.0)], jobs=1000)

    assert {"postgres_us_per_job": 40.0, "sql_fetch_us_per_job": 30.0, "sql_other_us_per_job": 10.0} == found


def test_a_statement_that_costs_next_to_nothing_is_not_judged():
    first = {"postgres_us_per_job": 100.0, "sql_fetch_us_per_job": 99.0, "sql_other_us_per_job": 1.0, "table_mib": 5.0}
    last = {"postgres_us_per_job": 110.0, "sql_fetch_us_per_job": 99.0, "sql_other_us_per_job": 11.0, "table_mib": 50.0}

    assert {"postgres_ratio": 1.1, "sql_fetch_ratio": 1.0} == tenths.ratios(first, last)


@pytest.mark.parametrize(("ratio", "beyond"), [(1.14, False), (0.86, False), (1.16, True), (0.84, True)])
def test_the_verdict_names_what_is_beyond_the_bound(ratio, beyond):
    assert beyond == (f"NOT within 15 % of the first: all {ratio}" in tenths.verdict({"all_ratio": ratio, "worker_ratio": 1.0}))


def test_the_long_parts_run_only_when_they_are_named():
    assert (set(), ("growth", "churn")) == (
        set(options.LONG) & set(options.parse([]).parts), options.parse(["--only", "churn,growth"]).parts,
    )


def test_a_pin_without_a_number_holds_for_ten_minutes():
    assert (0.0, 600.0, 5.0) == tuple(options.parse(each).pin_seconds for each in ([], ["--pin"], ["--pin", "5"]))
