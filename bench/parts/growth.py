"""How the cost of a drain grows: with what waits behind it, with workers, with the size of payloads.

Only rows can wait behind others here: a list in the broker does not care how long it is, so the backlog is measured
for Latchwork alone. Celery drains fewer jobs, because it takes as long for them and its cost for each is the same.
"""

from collections.abc import Callable
from dataclasses import replace

from bench.options import Layout
from bench.parts.drain import drain
from bench.run import Run
from bench.systems import System, padding

THEIRS = 2500       # at most
LARGE = 5000        # jobs of a drain with payloads: 32 KiB each fill the disk's cache otherwise
SLOTS = 1


def run(run: Run) -> None:
    layout = replace(run.layout, slots=SLOTS)
    cases: list[tuple[System, str, Callable[[], dict[str, float]]]] = [
        (run.latchwork, f"backlog {waiting}", _case(run, run.latchwork, run.layout, backlog=waiting))
        for waiting in run.options.growth_backlogs
    ]
    for system in run.systems:
        cases += [
            (system, f"workers {workers}", _case(run, system, replace(layout, workers=workers)))
            for workers in run.options.growth_workers
        ]
        cases += [
            (system, f"payload {size}", _case(run, system, run.layout, size=size)) for size in run.options.growth_bytes
        ]
    for number in range(run.options.rounds):
        turn = number % len(cases)
        for system, case, measured in (*cases[turn:], *cases[:turn]):
            run.results.note(part="growth", case=case, system=system.name, number=number, metrics=measured())


def _case(run: Run, system: System, layout: Layout, *, backlog: int = 0, size: int = 0) -> Callable[[], dict[str, float]]:
    jobs = min(run.options.jobs, LARGE if size else run.options.jobs)
    if system is run.plain:
        jobs = min(jobs, THEIRS)

    def measured() -> dict[str, float]:
        system.padding = padding(size)
        try:
            return drain(run, system, layout, how="bulk", jobs=jobs, backlog=backlog)
        finally:
            system.padding = ""

    return measured
