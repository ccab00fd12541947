"""What was measured, one number a record, and the medians and ratios that are read from it."""

import statistics
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

BETTER_HIGH = {"jobs_per_s"}   # of these a ratio is ours to theirs; of all others theirs to ours: above 1 is better


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    part: str
    case: str
    layout: str
    system: str
    round: int
    metric: str
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One metric of both systems: medians over the rounds, and the ratio of each round's pair with its median."""

    part: str
    case: str
    layout: str
    metric: str
    latchwork: float
    celery: float | None
    ratio: float | None
    least_ratio: float | None
    most_ratio: float | None


@dataclass(slots=True)
class Results:
    records: list[Record] = field(default_factory=list)
    since: float = field(default_factory=time.monotonic)

    def note(
        self, *, part: str, case: str, system: str, metrics: Mapping[str, float], layout: str = "", number: int = 0,
    ) -> None:
        """Keep a measurement and say it at once."""
        self.records += [
            Record(part=part, case=case, layout=layout, system=system, round=number, metric=metric, value=value)
            for metric, value in metrics.items()
        ]
        said = "  ".join(f"{metric} {shown(value)}" for metric, value in metrics.items())
        self.say(f"{part:8} {case:18} {layout:4} {system:9} {said}")

    def say(self, text: str) -> None:
        """Tell how far we are."""
        print(f"{time.monotonic() - self.since:6.0f} s  {text}", file=sys.stderr, flush=True)

    def median(self, **wanted: str) -> float | None:
        """Return the median of the records that have these values, None where there are none."""
        values = [
            record.value for record in self.records
            if all(getattr(record, name) == value for name, value in wanted.items())
        ]
        return statistics.median(values) if values else None

    def summary(self) -> Iterator[Line]:
        """Yield a line for each metric of ours. A case without one of Celery's is compared with its only one."""
        seen: dict[tuple[str, str, str, str], dict[int, float]] = {}
        theirs: dict[tuple[str, str, str, str], dict[int, float]] = {}
        for record in self.records:
            ours = record.system == "latchwork"
            key = (record.part, record.case, record.layout, record.metric)
            (seen if ours else theirs).setdefault(key, {})[record.round] = record.value
        for key, values in seen.items():
            part, case, layout, metric = key
            base = theirs.get(key) or theirs.get((part, "any", layout, metric)) or {}
            ratios = [
                ratio for number in values.keys() & base.keys()
                if (ratio := _ratio(metric, values[number], base[number])) is not None
            ]
            yield Line(
                part=part, case=case, layout=layout, metric=metric, latchwork=statistics.median(values.values()),
                celery=statistics.median(base.values()) if base else None,
                ratio=statistics.median(ratios) if ratios else None,
                least_ratio=min(ratios, default=None), most_ratio=max(ratios, default=None),
            )


def _ratio(metric: str, ours: float, theirs: float) -> float | None:
    if metric in BETTER_HIGH:
        return ours / theirs if theirs else None
    if metric.endswith(("_us_per_job", "_ms", "_percent", "_mib")) and ours > 0:
        return theirs / ours
    return None


def shown(value: float | None) -> str:
    """Return a number as a person reads it."""
    if value is None:
        return "-"
    if value == int(value) and abs(value) < 1e9:
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
