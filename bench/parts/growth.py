"""How the cost of a drain grows: with what waits behind it, with workers, with the size of payloads.

Only rows can wait behind others here: a list in the broker does not care how long it is, so the backlog is measured
for Latchwork alone. Celery drains fewer jobs, because it takes as long for them and its cost for each is the same.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from bench.options import Layout
from bench.parts.drain import drain
from bench.run import Run
from bench.systems import System, padding

THEIRS = 2500       # at most
LARGE = 5000        # jobs of a drain with payloads: 32 KiB each fill the disk's cache otherwise
SLOTS = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One drain that differs from the others in one thing."""

    name: str
    system: System
    layout: Layout
    backlog: int = 0
    size: int = 0


def run(run: Run) -> None:
    cases = list(_cases(run))
    for number in range(run.options.rounds):
        turn = number % len(cases)
        for case in (*cases[turn:], *cases[:turn]):
            run.results.note(
                part="growth", case=case.name, layout=str(case.layout), system=case.system.name, number=number,
                metrics=_measured(run, case),
            )


def _cases(run: Run) -> Iterator[Case]:
    for waiting in run.options.growth_backlogs:
        yield Case(name=f"backlog {waiting}", system=run.latchwork, layout=run.layout, backlog=waiting)
    for workers in run.options.growth_workers:
        for system in run.systems:
            yield Case(name=f"workers {workers}", system=system, layout=Layout(workers=workers, slots=SLOTS))
    for size in run.options.growth_bytes:
        for system in run.systems:
            yield Case(name=f"payload {size}", system=system, layout=run.layout, size=size)


def _measured(run: Run, case: Case) -> dict[str, float]:
    jobs = min(run.options.jobs, LARGE if case.size else run.options.jobs, THEIRS if case.system is run.plain else run.options.jobs)
    case.system.padding = padding(case.size)
    try:
        return drain(run, case.system, case.layout, how="bulk", jobs=jobs, backlog=case.backlog)
    finally:
        case.system.padding = ""
