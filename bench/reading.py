"""A written report, read again: by the page and by the table, which therefore also work on older ones."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.results import Line, shown

_NUMBERED = re.compile(r"(?:(?P<what>.*?)[ ,]+)?(?P<kind>backlog|workers|payload|tenth) (?P<number>\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    name: str
    machine: dict[str, Any]
    options: dict[str, Any]
    notes: tuple[str, ...]
    lines: tuple[Line, ...]

    def find(self, part: str, *metrics: str) -> list[Line]:
        """Return the lines of a part, of these metrics if any are named."""
        return [line for line in self.lines if line.part == part and (not metrics or line.metric in metrics)]

    def grown(self, part: str, kind: str, metric: str) -> Iterator[tuple[str, int, Line]]:
        """Yield the lines of numbered cases: what was different about them, the number, and the line."""
        for line in self.find(part, metric):
            found = _NUMBERED.fullmatch(line.case)
            if found and found["kind"] == kind:
                yield found["what"] or "", int(found["number"]), line


def load(folder: Path) -> Report:
    """Read what a run has written."""
    told = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return Report(
        name=folder.resolve().name, machine=told["machine"], options=told["options"], notes=tuple(told["notes"]),
        lines=tuple(Line(**line) for line in told["summary"]),
    )


def facts(machine: dict[str, Any]) -> dict[str, str]:
    """Return the machine and the versions as text."""
    def text(value: object) -> str:
        if isinstance(value, dict):
            return ", ".join(f"{name} {each}" for name, each in value.items())
        return ", ".join(map(str, value)) if isinstance(value, list) else str(value)

    return {name.replace("_gib", ", GiB").replace("_", " "): text(value) for name, value in machine.items()}


def ratio(line: Line) -> str:
    """Return a line's ratio."""
    return "" if line.ratio is None else f"{shown(line.ratio)} \N{MULTIPLICATION SIGN}"


def spread(line: Line) -> str:
    """Return the least and the most of its rounds, where they differ."""
    if line.least_ratio is None or shown(line.least_ratio) == shown(line.most_ratio):
        return ""
    return f"{shown(line.least_ratio)} to {shown(line.most_ratio)}"
