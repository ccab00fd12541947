"""The report as one HTML page without scripts: `python -m bench.page REPORT_DIR` draws an older one anew."""

import sys
from collections.abc import Callable, Iterable, Sequence
from html import escape
from pathlib import Path

from bench import svg, tenths
from bench.reading import Report, facts, load, ratio, spread
from bench.results import Line, shown

BOTH = {"Latchwork": 0, "plain Celery": 1}
PERCENTILES = ("p50_ms", "p95_ms", "p99_ms")
STYLE = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")
HEAD = ("", "Latchwork", "Celery", "ratio", "rounds")
# Part, metric, heading, what is said under it. Drawn in this order where there are numbers.
BARS = (
    ("enqueue", "jobs_per_s", "Enqueueing", "Jobs a second from one process, no worker running. Longer is better."),
    ("enqueue", "producer_us_per_job", "Enqueueing: the producer's CPU", "µs a job. Shorter is better."),
    ("drain", "jobs_per_s", "Draining a full queue", "Jobs a second until the last is settled. Longer is better."),
    ("drain", "all_us_per_job", "Draining: CPU of workers and servers", "µs a job. Shorter is better."),
    ("drain", "main_us_per_job", "Draining: CPU of the workers' main processes", "µs a job. Shorter is better."),
    ("memory", "pss_mib", "Memory", "PSS of all processes of the workers after their first jobs, MiB. Shorter is better."),
    ("idle", "programs_percent", "CPU while nothing happens", "All programs of the stack, % of a core. Shorter is better."),
    ("recovery", "last_done_s", "SIGKILL to all workers", "Seconds from the new workers' start to the last job that ends."),
    ("recovery", "lost", "SIGKILL: jobs that were lost", "Of 2,000."),
)
SPANS = (
    ("latency", "Latency", "From the call of enqueue to the start of the handler."),
    ("delayed", "Delayed jobs", "Start minus due, with beat running."),
)
GROWTH = (
    ("backlog", "jobs that wait behind", True), ("workers", "workers of one slot", False),
    ("payload", "bytes of payload besides", True),
)
CHURN = (
    ("all_us_per_job", "CPU of workers and servers, µs a job"), ("postgres_us_per_job", "PostgreSQL's statements, µs a job"),
    ("hot_indexes_mib", "hot indexes, MiB"), ("dead_tuples", "dead tuples of the table"),
)


def write(folder: Path) -> Path:
    """Draw what `report.json` holds, and return the page."""
    file = folder / "report.html"
    file.write_text(html(load(folder)), encoding="utf-8")
    return file


def html(report: Report) -> str:
    """Return the whole page."""
    sections = [
        *(_bars(report, part, metric, heading, text) for part, metric, heading, text in BARS[:5]),
        *(_spans(report, part, heading, text) for part, heading, text in SPANS),
        *(_bars(report, part, metric, heading, text) for part, metric, heading, text in BARS[5:]),
        _growth(report), _churn(report), _everything(report),
    ]
    told = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts(report.machine).items())
    notes = "".join(f"<li>{escape(note)}</li>" for note in report.notes)
    options = ", ".join(f"{name} {escape(str(value))}" for name, value in report.options.items())
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">'
        f"<title>Latchwork: bench {escape(report.name)}</title><style>\n{STYLE}</style></head><body>\n"
        f"<header><h1>Latchwork beside plain Celery</h1><p>{escape(report.name)}, commit {escape(str(report.machine['commit']))}, "
        f"{escape(str(report.machine['processor']))}, {report.machine['cores']} cores</p>{svg.legend(BOTH)}</header>\n"
        + "\n".join(each for each in sections if each)
        + f"\n<section><h2>How to read it</h2><ul>{notes}</ul></section>"
        f'\n<section><h2>Machine and versions</h2><dl>{told}</dl><p class="faint">Options: {options}</p></section>'
        "\n</body></html>\n"
    )


def _section(heading: str, text: str, drawing: str, table: str) -> str:
    return (
        f"<section><h2>{escape(heading)}</h2><p>{escape(text)}</p>\n{drawing}\n"
        f"<details><summary>The numbers</summary>{table}</details></section>"
    )


def _name(line: Line) -> str:
    return " · ".join(each for each in (line.case, line.layout) if each)


def _cells(line: Line, name: str) -> tuple[str, ...]:
    return name, shown(line.latchwork), shown(line.celery), ratio(line), spread(line)


def _bars(report: Report, part: str, metric: str, heading: str, text: str) -> str:
    lines = report.find(part, metric)
    if not lines:
        return ""
    rows = [
        svg.Bars(label=_name(line), values=(line.latchwork, line.celery), ratio=ratio(line), spread=spread(line))
        for line in lines
    ]
    return _section(heading, text, svg.bars(rows, title=heading), svg.table(HEAD, (_cells(line, _name(line)) for line in lines)))


def _spans(report: Report, part: str, heading: str, text: str) -> str:
    lines = report.find(part, *PERCENTILES)
    if not lines:
        return ""
    named: dict[str, dict[str, Line]] = {}
    for line in lines:
        named.setdefault(_name(line), {})[line.metric] = line
    rows = [
        svg.Span(label=name, values=(
            _percentiles(found, lambda line: line.latchwork), _percentiles(found, lambda line: line.celery),
        ))
        for name, found in named.items()
    ]
    table = svg.table(HEAD, (_cells(line, f"{_name(line)} · {line.metric.removesuffix('_ms')}") for line in lines))
    dots = f"{text} The dots are p50, p95 and (hollow) p99 in ms, on a logarithmic axis; left is better."
    return _section(heading, dots, svg.spans(rows, title=heading, unit="ms"), table)


def _percentiles(found: dict[str, Line], side: Callable[[Line], float | None]) -> tuple[float, ...] | None:
    values = [side(found[name]) for name in PERCENTILES if name in found]
    whole = tuple(value for value in values if value is not None)
    return whole or None


def _growth(report: Report) -> str:
    figures, rows = [], []
    for kind, name, log in GROWTH:
        for metric, unit in (("jobs_per_s", "jobs a second"), ("all_us_per_job", "CPU, µs a job")):
            lines = [(number, line) for _, number, line in report.grown("growth", kind, metric)]
            curves = [
                svg.Curve(series=series, points=points) for series, points in enumerate((
                    tuple((float(number), line.latchwork) for number, line in sorted(lines, key=lambda each: each[0])),
                    tuple(
                        (float(number), line.celery) for number, line in sorted(lines, key=lambda each: each[0])
                        if line.celery is not None
                    ),
                )) if points
            ]
            if curves:
                figures.append(_figure(f"{unit}, by {name}", svg.curves(curves, title=f"{unit} by {name}", x_log=log, x_name=name)))
                rows += [_cells(line, f"{name}: {number:,} · {unit}") for number, line in lines]
    if not figures:
        return ""
    text = (
        "What a drain costs as more waits behind it, as workers are added, and as payloads grow. "
        "Only rows can wait behind others here, so the backlog has one curve."
    )
    return _section("How the cost grows", text, _grid(figures), svg.table(HEAD, rows))


def _churn(report: Report) -> str:
    figures, rows = [], []
    for metric, name in CHURN:
        found: dict[str, list[tuple[float, float]]] = {}
        for what, number, line in report.grown("churn", "tenth", metric):
            found.setdefault(what, []).append((float(number), line.latchwork))
        curves = [svg.Curve(series=2 * bool(what), points=tuple(points)) for what, points in found.items()]
        if curves:
            figures.append(_figure(name, svg.curves(curves, title=name, x_name="tenth of the jobs")))
        rows += [(f"{name}{', pinned' * bool(what)}", *(shown(value) for _, value in points)) for what, points in found.items()]
    if not figures:
        return ""
    said = "; ".join(
        f"{'with xmin pinned' if what else 'as it is'}, {tenths.verdict(ratios)}" for what, ratios in compared(report).items()
    )
    drawing = svg.legend({"as it is": 0, "while another connection pins xmin": 2}) + _grid(figures)
    head = ("", *map(str, range(1, max(map(len, rows)))))
    jobs = f"{report.options['churn_jobs']:,} jobs in a steady stream, by tenths: {said}."
    return _section("Table health", jobs, drawing, svg.table(head, rows))


def compared(report: Report) -> dict[str, dict[str, float]]:
    """Return the last tenth's costs to the first's, of the run as it is ("") and of the pinned one."""
    found: dict[str, dict[str, float]] = {}
    for line in report.find("churn"):
        if line.case.endswith("last to first"):
            found.setdefault(line.case.partition(",")[0] if "," in line.case else "", {})[line.metric] = line.latchwork
    return found


def _figure(caption: str, drawing: str) -> str:
    return f"<figure><figcaption>{escape(caption)}</figcaption>{drawing}</figure>"


def _grid(figures: Iterable[str]) -> str:
    return f'<div class="grid">{"".join(figures)}</div>'


def _everything(report: Report) -> str:
    rows: Sequence[tuple[str, ...]] = [
        _cells(line, " · ".join(each for each in (line.part, line.case, line.layout, line.metric) if each)) for line in report.lines
    ]
    return (
        "<section><h2>Everything that was measured</h2><p>Medians over the rounds.</p><details><summary>The numbers</summary>"
        f"{svg.table(HEAD, rows)}</details></section>"
    )


if __name__ == "__main__":
    print(write(Path(sys.argv[1])))
