"""The figures of a report as Markdown, for docs/performance.md: `python -m bench.table REPORT_DIR`."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from bench import tenths
from bench.page import compared
from bench.reading import Report, load, ratio, spread
from bench.results import shown

# Part, metric, and how it is called. What is not named here stands in the report itself.
FIGURES = (
    ("enqueue", "jobs_per_s", "enqueue, jobs/s"),
    ("enqueue", "producer_us_per_job", "enqueue, producer's CPU, µs a job"),
    ("drain", "jobs_per_s", "drain, jobs/s"),
    ("drain", "all_us_per_job", "drain, CPU of workers and servers, µs a job"),
    ("latency", "p50_ms", "latency p50, ms"),
    ("latency", "p99_ms", "latency p99, ms"),
    ("delayed", "p50_ms", "delayed, late p50, ms"),
    ("delayed", "p99_ms", "delayed, late p99, ms"),
    ("delayed", "early", "delayed, started early"),
    ("memory", "pss_mib", "memory, PSS, MiB"),
    ("idle", "programs_percent", "idle, CPU, % of a core"),
    ("recovery", "lost", "recovery, jobs lost of 2,000"),
    ("recovery", "doubled", "recovery, run twice"),
    ("recovery", "last_done_s", "recovery, last one done after, s"),
)
GROWTH = (("backlog", "jobs behind"), ("workers", "workers of one slot"), ("payload", "bytes of payload"))
CHURN = (
    ("all_us_per_job", "CPU of workers and servers, µs a job"), ("postgres_us_per_job", "PostgreSQL's statements, µs a job"),
    ("hot_indexes_mib", "hot indexes, MiB"), ("table_mib", "table, MiB"), ("dead_tuples", "dead tuples"), ("autovacuums", "autovacuums of the table so far"),
)


def markdown(report: Report) -> str:
    """Return the machine, then a table for each kind of measurement that the report holds."""
    return "\n\n".join(each for each in (_machine(report), _figures(report), _growth(report), *_churn(report)) if each) + "\n"


def _machine(report: Report) -> str:
    told = report.machine
    packages = told["packages"]
    return (
        f"Commit {told['commit']}, {report.name}: {told['processor']}, {told['cores']} cores, {told['memory_gib']} GiB; "
        f"{told['system']}; Python {told['python']}, PostgreSQL {told['PostgreSQL']} (fsync {told['fsync']}, "
        f"synchronous_commit {told['synchronous_commit']}), Valkey {told['Valkey']}, Celery {packages['celery']}, "
        f"kombu {packages['kombu']}, Django {packages['django']}, psycopg {packages['psycopg']}. "
        f"Load average when it ended: {', '.join(map(str, told['load']))}. Pool {report.options['pool']}, "
        f"{report.options['jobs']:,} jobs a drain, medians of {report.options['rounds']} rounds."
    )


def _figures(report: Report) -> str:
    rows = [
        (name, line.case, line.layout, shown(line.latchwork), shown(line.celery), ratio(line), spread(line))
        for part, metric, name in FIGURES for line in report.find(part, metric)
    ]
    return _table(("what", "case", "layout", "Latchwork", "Celery", "ratio", "of the rounds"), rows, text=3)


def _growth(report: Report) -> str:
    rows = []
    for kind, name in GROWTH:
        cpu = {number: line for _, number, line in report.grown("growth", kind, "all_us_per_job")}
        speeds = sorted(report.grown("growth", kind, "jobs_per_s"), key=lambda each: each[1])
        rows += [
            (
                f"{name}: {number:,}", line.layout, shown(line.latchwork), shown(line.celery), ratio(line),
                shown(cpu[number].latchwork), shown(cpu[number].celery),
            )
            for _, number, line in speeds
        ]
    head = ("drain with", "layout", "Latchwork, jobs/s", "Celery, jobs/s", "ratio", "Latchwork, µs a job", "Celery, µs a job")
    return _table(head, rows, text=2)


def _churn(report: Report) -> Iterator[str]:
    found = compared(report)
    for what, ratios in found.items():
        rows = [
            (name, *(shown(line.latchwork) for case, _, line in report.grown("churn", "tenth", metric) if case == what))
            for metric, name in CHURN
        ]
        how = "with xmin pinned by another connection" if what else "as it is"
        yield f"{report.options['churn_jobs']:,} jobs in a steady stream by tenths, {how}: {tenths.verdict(ratios)}."
        yield _table(("tenth", *map(str, range(1, len(rows[0])))), rows, text=1)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], *, text: int) -> str:
    """Return a table whose first columns, so many, are text and the others numbers; nothing where there are no rows."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    if not lines:
        return ""
    rule = "|".join(["---"] * text + ["---:"] * (len(head) - text))
    return "\n".join(("| " + " | ".join(head) + " |", f"|{rule}|", *lines))


if __name__ == "__main__":
    print(markdown(load(Path(sys.argv[1]))), end="")
