"""The bench of locks: whose turn it is, and what is made of figures that are written here."""

import csv
import json
import re

import pytest

from bench.locks import asked, report
from bench.locks.cases import cases
from bench.locks.found import Run, summary
from bench.locks.measure import Done, Figures, figures
from bench.locks.tracing import Traced
from locks.stores.cassandra import Address


def one(p50, rate, *, least=10, pairs=80):
    return Figures(
        p50_ms=p50, p99_ms=p50 * 3, pairs_per_s=rate, client_ms=1.0, pairs=pairs, least_of_a_process=least, most_of_a_process=20,
        statements_per_pair=2.0, unknown=0,
    )


MEASURED = {
    ("v2", "warm", "raw"): [one(10, 100), one(30, 30), one(25, 40)],
    ("v2", "warm", "ours"): [one(10, 100), one(40, 25), one(20, 50)],
    ("v2", "warm", "seed"): [one(20, 50), one(80, 12.5), one(50, 20)],
    ("v2", "1 name", "raw"): [one(100, 40)],
    ("v2", "1 name", "ours"): [one(100, 12, least=4)],
    ("v2", "1 name", "seed"): [one(100, 10)],
}
TRACED = {"v2": [Traced(design="ours", step="acquire", statements=("Acquire",), requests=1, rounds={"prepare": 1, "propose": 1, "commit": 1})]}


@pytest.fixture
def run():
    return Run(
        machine={"commit": "abc", "processor": "CPU <i>", "cores": 2}, options={"rounds": 3}, measured=MEASURED, traced=TRACED,
        cases=list(cases(seconds=1, rounds=1, minute=1).values()),
    )


def test_a_ratio_is_of_neighbours_in_time():
    line = next(each for each in summary(MEASURED) if (each["case"], each["design"]) == ("warm", "common"))

    assert (0.5, 2.0) == (line["ours_time_to_it"], line["ours_speed_to_it"])


def test_what_is_asked_is_said_with_what_was_found():
    found = {(each.case, each.what): each.holds for each in asked.judged(MEASURED)}

    assert found == {
        ("warm", "p50 to that of the common design"): True,
        ("warm", "statements to those of the common design"): False,    # all designs have two here
        ("warm", "p50 to that of two bare LWTs"): True,
        ("1 name", "pairs a second to those of the common design"): True,
        ("1 name", "the least of a process to its share"): False,       # 4 of a share of 10
    }


def test_designs_take_turns_and_nobody_is_always_first():
    case = cases(seconds=3, rounds=2, minute=60)["warm"]
    slices = list(case.slices())

    assert {("raw", 0): 3.0, ("ours", 0): 3.0, ("seed", 0): 3.0} == {
        (design, 0): sum(each.seconds for each in slices if (each.design, each.round) == (design, 0)) for design in ("raw", "ours", "seed")
    }
    assert {"raw", "ours", "seed"} == {each.design for each in slices[::3]}


def test_many_names_are_shared_out_and_one_is_everybodys():
    address = Address(hosts=("h",), keyspace="k")
    known = cases(seconds=1, rounds=1, minute=1)
    many, one_ = known["64 names"].works(address), known["1 name"].works(address)

    assert (64, 8, {8}) == (len({name for work in many for name in work.names}), len(many), {len(work.names) for work in many})
    assert ({("name-0",)}, {False}) == ({work.names for work in one_}, {work.warm for work in one_})


def test_the_figures_of_a_round_are_those_of_all_its_slices():
    def done(process, latencies, seconds):
        return Done(
            process=process, number=0, latencies=latencies, seconds=seconds, cpu_seconds=0.01, statements=2 * len(latencies), unknown=0,
        )

    found = figures([[done(0, (0.1, 0.3), 1.0), done(1, (0.2,), 2.0)], [done(0, (0.4,), 1.0), done(1, (0.2,), 1.0)]])

    assert (200.0, 5 / 3, 5, 2, 3, 2.0) == (
        found.p50_ms, found.pairs_per_s, found.pairs, found.least_of_a_process, found.most_of_a_process,
        found.statements_per_pair,
    )


def test_the_report_has_every_form_of_it(run, tmp_path):
    folder = tmp_path / "locks-now"
    report.write(run, folder)
    rows = list(csv.DictReader((folder / "runs.csv").read_text().splitlines()))
    whole = json.loads((folder / "report.json").read_text())
    text = (folder / "report.txt").read_text()

    assert (12, 12, 6, 5) == (len(rows), len(whole["runs"]), len(whole["summary"]), len(whole["asked"]))
    assert "1 requests: Acquire (prepare in 1, propose in 1, commit in 1)" in text
    assert "NO  v2 1 name    the least of a process to its share: 0.40 (asked: at least 0.50)" in text
    assert 6 == len(list(csv.DictReader((folder / "summary.csv").read_text().splitlines())))


def test_the_page_needs_nothing_but_itself_and_draws_what_was_measured(run, tmp_path):
    report.write(run, tmp_path / "locks-now")
    html = (tmp_path / "locks-now" / "report.html").read_text()

    assert ([], {"http://www.w3.org/2000/svg"}) == (
        re.findall(r"<script|<link|<img|@import|url\(", html), set(re.findall(r"https?://[^\s\"'<]+", html)),
    )
    assert (4, True, False) == (html.count("<svg"), "CPU &lt;i&gt;" in html, "CPU <i>" in html)
