"""A run as one HTML page without scripts: the verdict, the figures, who held which lock when under which fault, and the history."""

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from locks.testing.checker import Grant
from locks.testing.history import Event
from tests.locks.chaos.mix import NAMES, Outcome

STYLE = (Path(__file__).parents[3] / "bench" / "page.css").read_text(encoding="utf-8")
STRIP_SECONDS, WIDTH, LABELS, LANE = 60.0, 860, 70, 22
MORE = "table{border-collapse:collapse}td,th{padding:.15rem .6rem;text-align:left;vertical-align:top}pre{font-size:11px;overflow:auto}"
NEVER_SHOWN = {"at", "event", "pid"}


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault and when it was there."""

    name: str
    begin: float
    end: float


def write(outcomes: Sequence[Outcome], folder: Path) -> Path:
    """Write the page of some runs into a folder that keeps their histories too; return it."""
    file = folder / "report.html"
    file.write_text(html(outcomes), encoding="utf-8")
    return file


def html(outcomes: Sequence[Outcome]) -> str:
    """Return the whole page."""
    bad = sum(len(outcome.violations) for outcome in outcomes)
    verdict = "no violation" if not bad else f"{bad} violations"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="color-scheme" content="light dark"><title>Locks under faults: {verdict}</title><style>\n{STYLE}{MORE}</style></head><body>\n'
        f"<header><h1>Locks under faults: {verdict}</h1><p>Twelve processes use three locks on three nodes of Cassandra while holders "
        "and nodes are stopped and killed, replies lost, requests held until they come late, and clocks set wrong.</p></header>\n"
        + "\n".join(part for outcome in outcomes for part in _run(outcome)) + "</body></html>\n"
    )


def faults(events: Iterable[Event]) -> Iterator[Fault]:
    """Yield the faults of a history."""
    begun: dict[str, float] = {}
    for event in events:
        if event["event"] == "fault":
            begun[event["fault"]] = event["at"]
        elif event["event"] == "heal" and event["fault"] in begun:
            yield Fault(event["fault"], begun.pop(event["fault"]), event["at"])


def _run(outcome: Outcome) -> Iterator[str]:
    plan = outcome.plan
    title = f"Paxos {outcome.paxos}, {plan.seconds:.0f} s, design {plan.design}, seed {plan.seed}"
    found = "".join(f"<li>{escape(each)}</li>" for each in outcome.violations) or "<li>none</li>"
    yield f"<section><h2>{escape(title)}</h2><p>Violations</p><ul>{found}</ul>{_table(_figures(outcome))}</section>"
    yield f"<section><h2>Who held what, when</h2><p>{_legend()}</p>{''.join(_strips(outcome))}</section>"
    slowest = [
        (f"{wait.well_seconds:.1f} s", f"{wait.seconds:.1f} s", wait.name, f"after {wait.fault}") for wait in outcome.waits[:10]
    ]
    yield (
        "<section><h2>Longest waits for a grant after a fault was healed</h2><p>Without the time of other faults, and by the clock.</p>"
        f"{_table(slowest)}</section>"
    )
    yield f"<section><h2>History</h2><details><summary>{len(outcome.events)} events</summary><pre>{_history(outcome)}</pre></details></section>"


def _figures(outcome: Outcome) -> list[tuple[str, str]]:
    writes = [event["accepted"] for event in outcome.events if event["event"] == "write"]
    shown = {
        "faults": ", ".join(f"{name} {count}" for name, count in sorted(outcome.faults.items())),
        **{name: str(count) for name, count in sorted(outcome.verdict.figures.items())},
        "writes that the fence let in": str(writes.count(True)), "writes that the fence refused": str(writes.count(False)),
        "updates that the unfenced account lost": str(outcome.lost_without_fence),
        "purges": str(sum(event["event"] == "purge" and event["how"] == "purged" for event in outcome.events)),
    }
    return list(shown.items())


def _legend() -> str:
    return "Bars: a holder's trust in its lease, from the answer to the release, loss or deadline. Below them: faults."


def _strips(outcome: Outcome) -> Iterator[str]:
    if not outcome.events:
        return
    begin, end = outcome.events[0]["at"], outcome.events[-1]["at"]
    ill = list(faults(outcome.events))
    for number in range(max(1, math.ceil((end - begin) / STRIP_SECONDS))):
        yield _strip(begin + number * STRIP_SECONDS, begin, outcome, ill)


def _strip(start: float, begin: float, outcome: Outcome, ill: list[Fault]) -> str:
    """Draw one minute."""
    parts = []
    for lane, name in enumerate(NAMES):
        top = lane * LANE + 4
        parts.append(f'<text x="{LABELS - 8}" y="{top + 13}" text-anchor="end">{escape(name)}</text>')
        mine = [grant for grant in outcome.verdict.grants.values() if grant.name == name]
        parts += [_bar(grant, start, top) for grant in mine if grant.returned < start + STRIP_SECONDS and _end(grant) > start]
    top = len(NAMES) * LANE + 6
    for fault in ill:
        if fault.begin < start + STRIP_SECONDS and fault.end > start:
            left, right = _x(fault.begin, start), _x(fault.end, start)
            parts.append(
                f'<rect class="third" opacity=".55" x="{left:.1f}" y="{top}" width="{max(2.0, right - left):.1f}" height="12">'
                f"<title>{escape(fault.name)}, {fault.end - fault.begin:.1f} s</title></rect>"
                f'<text class="faint" x="{left:.1f}" y="{top + 24}">{escape(fault.name)}</text>',
            )
    minute = f"{(start - begin) / 60:.0f} min"
    return (
        f'<svg viewBox="0 0 {WIDTH} {top + 30}" role="img" aria-label="from {minute}"><text class="faint" x="0" y="{top + 10}">{minute}</text>'
        + "".join(parts) + "</svg>"
    )


def _bar(grant: Grant, start: float, top: int) -> str:
    left, right = _x(grant.returned, start), _x(_end(grant), start)
    told = f"token {grant.token}, process {grant.pid}, {_end(grant) - grant.returned:.2f} s"
    kind = "ours" if grant.pid % 2 else "fourth"
    return f'<rect class="{kind}" x="{left:.1f}" y="{top}" width="{max(1.0, right - left):.1f}" height="16"><title>{told}</title></rect>'


def _end(grant: Grant) -> float:
    return max(grant.returned, grant.trusted_until)


def _x(at: float, start: float) -> float:
    share = min(1.0, max(0.0, (at - start) / STRIP_SECONDS))
    return LABELS + share * (WIDTH - LABELS)


def _table(rows: Iterable[Sequence[str]]) -> str:
    return "<table>" + "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows) + "</table>"


def _history(outcome: Outcome) -> str:
    begin = outcome.events[0]["at"] if outcome.events else 0.0
    return escape("\n".join(
        f"{event['at'] - begin:9.3f} {event['pid']:>7} {event['event']:15} "
        + json.dumps({key: value for key, value in event.items() if key not in NEVER_SHOWN and value is not None})
        for event in outcome.events
    ))
