"""The report of the locks as one HTML page, drawn with the charts of the other bench."""

from collections.abc import Iterable, Iterator
from html import escape
from pathlib import Path
from typing import Any

from bench import svg
from bench.locks import asked
from bench.locks.cases import Case
from bench.locks.found import NOTES, Run, summary
from bench.reading import facts

STYLE = (Path(__file__).parents[1] / "page.css").read_text(encoding="utf-8")
LEGEND = {"ours": 0, "the common design": 1, "bare LWTs": 2}


def html(run: Run, *, name: str) -> str:
    """Return the whole page."""
    told = "".join(f"<dt>{escape(what)}</dt><dd>{escape(value)}</dd>" for what, value in facts(dict(run.machine)).items())
    options = ", ".join(f"{what} {escape(str(value))}" for what, value in run.options.items())
    notes = "".join(f"<li>{escape(note)}</li>" for note in NOTES)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">'
        f"<title>Latchwork: bench of locks {escape(name)}</title><style>\n{STYLE}</style></head><body>\n"
        f"<header><h1>Locks beside bare LWTs and the common design</h1><p>{escape(name)}, commit "
        f"{escape(str(run.machine['commit']))}, {escape(str(run.machine['processor']))}, {run.machine['cores']} cores</p>"
        f"{svg.legend(LEGEND)}</header>\n{_asked(run)}\n"
        + "\n".join(_case(run, case) for case in run.cases)
        + f"\n{_traced(run)}\n<section><h2>How to read it</h2><ul>{notes}</ul></section>"
        f'\n<section><h2>Machine and versions</h2><dl>{told}</dl><p class="faint">Options: {options}</p></section>'
        "\n</body></html>\n"
    )


def _asked(run: Run) -> str:
    rows = [
        (
            f"{each.paxos} · {each.case} · {each.what}", f"{each.found:.2f}",
            f"{'at most' if each.at_most else 'at least'} {each.bound:.2f}", "yes" if each.holds else "NO",
        )
        for each in asked.judged(run.measured)
    ]
    return f"<section><h2>What is asked</h2>{svg.table(('', 'found', 'asked', 'holds'), rows)}</section>"


def _case(run: Run, case: Case) -> str:
    lines = {(line["paxos"], line["design"]): line for line in summary(run.measured) if line["case"] == case.name}
    if not lines:
        return ""
    kinds = list(dict.fromkeys(paxos for paxos, _ in lines))
    shown = ("ours", "common", "bare")
    spans = [
        svg.Span(label=f"Paxos {paxos}", values=tuple(
            (lines[paxos, design]["p50_ms"], lines[paxos, design]["p99_ms"]) if (paxos, design) in lines else None for design in shown
        ))
        for paxos in kinds
    ]
    speeds = [
        svg.Bars(label=f"Paxos {paxos}", values=tuple(lines.get((paxos, design), {}).get("pairs_per_s") for design in shown))
        for paxos in kinds
    ]
    head = ("", "p50 ms", "p99 ms", "pairs/s", "each", "statements", "client ms", "unknown", "ours: time x", "speed x")
    return (
        f"<section><h2>{escape(case.title)}</h2><p>Acquire and release; dots are p50 and (hollow) p99, bars are pairs a second.</p>\n"
        f"{svg.spans(spans, title=f'{case.title}: milliseconds', unit='ms')}\n{svg.bars(speeds, title=f'{case.title}: pairs a second')}\n"
        f"<details><summary>The numbers</summary>{svg.table(head, _numbers(lines.values()))}</details></section>"
    )


def _numbers(lines: Iterable[dict[str, Any]]) -> Iterator[tuple[str, ...]]:
    for line in lines:
        yield (
            f"{line['paxos']} · {line['design']}", f"{line['p50_ms']:.1f}", f"{line['p99_ms']:.1f}", f"{line['pairs_per_s']:.1f}",
            f"{line['least_of_a_process']:.0f}-{line['most_of_a_process']:.0f}", f"{line['statements_per_pair']:.2f}",
            f"{line['client_ms']:.2f}", f"{line['unknown']:.0f}",
            *(f"{line[what]:.2f}" if what in line else "" for what in ("ours_time_to_it", "ours_speed_to_it")),
        )


def _traced(run: Run) -> str:
    rows = [
        (f"{paxos} · {step.design} · {step.step}", ", ".join(step.statements), *(str(count) for count in step.rounds.values()))
        for paxos, steps in run.traced.items() for step in steps
    ]
    head = ("", "statements", "prepare", "propose", "commit")
    return (
        "<section><h2>What is sent</h2><p>Statements of one call, and in how many of them the servers' own traces show each phase of "
        f"Paxos: a change goes through all three, a refusal or a reading through Paxos through the first.</p>{svg.table(head, rows)}</section>"
    )
