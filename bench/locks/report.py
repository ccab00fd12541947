"""The report of a run: every figure of every round, the medians, what is asked, and what was traced."""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.locks import asked, page
from bench.locks.asked import Measured
from bench.locks.found import NOTES, SHOWN, Run, summary
from bench.locks.tracing import Traced


def write(run: Run, folder: Path) -> None:
    """Write report.txt, report.json, report.html, runs.csv and summary.csv."""
    folder.mkdir(parents=True)
    (folder / "report.txt").write_text(text(run) + "\n", encoding="utf-8")
    (folder / "report.json").write_text(json.dumps(whole(run), indent=1), encoding="utf-8")
    (folder / "report.html").write_text(page.html(run, name=folder.name), encoding="utf-8")
    _csv(folder / "runs.csv", [
        {"paxos": key[0], "case": key[1], "design": SHOWN[key[2]], "round": number, **figures.as_dict()}
        for key, found in run.measured.items() for number, figures in enumerate(found)
    ])
    _csv(folder / "summary.csv", list(summary(run.measured)))


def whole(run: Run) -> dict[str, Any]:
    """Return all of it as it goes into JSON."""
    return {
        "machine": run.machine, "options": run.options, "notes": NOTES,
        "asked": [{**asdict(each), "holds": each.holds} for each in asked.judged(run.measured)],
        "summary": list(summary(run.measured)),
        "traced": {paxos: [asdict(each) for each in steps] for paxos, steps in run.traced.items()},
        "runs": [
            {"paxos": key[0], "case": key[1], "design": SHOWN[key[2]], "round": number, **figures.as_dict()}
            for key, found in run.measured.items() for number, figures in enumerate(found)
        ],
    }


def text(run: Run) -> str:
    """Return the report as a terminal shows it."""
    return "\n".join([*_traces(run.traced), "", *_table(run.measured), "", *map(str, asked.judged(run.measured)), "", *NOTES])


def _traces(traced: dict[str, list[Traced]]) -> Iterator[str]:
    for paxos, steps in traced.items():
        yield f"Paxos {paxos}: what is sent for each step, as the servers traced it"
        for step in steps:
            rounds = ", ".join(f"{phase} in {count}" for phase, count in step.rounds.items())
            yield f"  {SHOWN[step.design]:6} {step.step:34} {step.requests} requests: {', '.join(step.statements)} ({rounds})"


def _table(measured: Measured) -> Iterator[str]:
    yield f"{'':25} {'p50 ms':>8} {'p99 ms':>8} {'pairs/s':>8} {'each':>9} {'statements':>11} {'client ms':>10} {'unknown':>8}"
    for line in summary(measured):
        each = f"{line['least_of_a_process']:.0f}-{line['most_of_a_process']:.0f}"
        beside = "" if line["design"] == "ours" or "ours_time_to_it" not in line else (
            f"   ours to it: time x {line['ours_time_to_it']:.2f}, speed x {line['ours_speed_to_it']:.2f}"
        )
        yield (
            f"{line['paxos']} {line['case']:10} {line['design']:11} {line['p50_ms']:8.1f} {line['p99_ms']:8.1f} "
            f"{line['pairs_per_s']:8.1f} {each:>9} {line['statements_per_pair']:11.2f} {line['client_ms']:10.2f} {line['unknown']:8.0f}{beside}"
        )


def _csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as output:
        writer = csv.DictWriter(output, fieldnames=list(rows[0]) if rows else [])
        writer.writeheader()
        writer.writerows(rows)
