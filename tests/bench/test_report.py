"""The page and the table say what the report holds, and nothing else."""

import re

from bench import page, table
from tests.bench import reports


def test_the_page_needs_nothing_but_itself(tmp_path):
    html = page.html(reports.report(tmp_path, *reports.DRAIN, *reports.LATENCY, *reports.GROWTH, *reports.CHURN))

    addresses = set(re.findall(r"https?://[^\s\"'<]+", html))
    assert ([], {"http://www.w3.org/2000/svg"}) == (re.findall(r"<script|<link|<img|@import|url\(", html), addresses)


def test_every_drawing_of_the_page_is_whole_and_has_its_table(tmp_path):
    html = page.html(reports.report(tmp_path, *reports.DRAIN, *reports.LATENCY, *reports.GROWTH, *reports.CHURN))
    drawings = [reports.parsed(each) for each in re.findall(r"<svg.*?</svg>", html, flags=re.DOTALL)]
    sections = [each for each in re.findall(r"<section>.*?</section>", html, flags=re.DOTALL) if "<svg" in each]

    # Drain, latency, backlog by speed and by CPU, and two of the churn's four: the others were not measured.
    assert (6, 4, True) == (len(drawings), len(sections), all("<table>" in each for each in sections))


def test_what_the_machine_says_of_itself_is_text(tmp_path):
    html = page.html(reports.report(tmp_path, *reports.DRAIN))

    assert (True, False) == ("CPU &lt;i&gt;" in html, "CPU <i>" in html)


def test_a_part_that_was_not_measured_is_not_drawn(tmp_path):
    html = page.html(reports.report(tmp_path, *reports.DRAIN))

    assert ["Draining a full queue", "Everything that was measured", "How to read it", "Machine and versions"] == (
        re.findall(r"<h2>(.*?)</h2>", html)
    )


def test_the_table_has_both_systems_and_their_ratio(tmp_path):
    text = table.markdown(reports.report(tmp_path, *reports.DRAIN))

    assert [
        "| what | case | layout | Latchwork | Celery | ratio | of the rounds |",
        "|---|---|---|---:|---:|---:|---:|",
        "| drain, jobs/s | bulk | 2x1 | 5,500 | 500 | 11 \N{MULTIPLICATION SIGN} |  |",
    ] == text.splitlines()[2:]


def test_growth_is_told_from_the_least_on(tmp_path):
    text = table.markdown(reports.report(tmp_path, *reports.GROWTH))

    assert [
        "| jobs behind: 1,000 | 2x1 | 5,000 | - |  | 180 | - |",
        "| jobs behind: 100,000 | 2x1 | 4,900 | - |  | 190 | - |",
    ] == text.splitlines()[4:]


def test_a_churn_is_told_with_and_without_the_pin(tmp_path):
    text = table.markdown(reports.report(tmp_path, *reports.CHURN))

    assert [
        "200,000 jobs in a steady stream by tenths, as it is: the last tenth is within 15 % of the first.",
        "| CPU of workers and servers, µs a job | 100 | 200 |",
        ("200,000 jobs in a steady stream by tenths, with xmin pinned by another connection: "
         "the last tenth is NOT within 15 % of the first: all 1.50."),
        "| CPU of workers and servers, µs a job | 200 | 400 |",
    ] == [line for line in text.splitlines() if line.startswith(("200,000", "| CPU"))]
