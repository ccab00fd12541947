"""What a part is given, and the order of the parts."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.options import Layout, Options
from bench.results import Results
from bench.stage import Stage
from bench.systems import Alone, Latchwork, Plain, System


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of the whole."""

    options: Options
    stage: Stage
    results: Results
    latchwork: Latchwork
    alone: Alone
    plain: Plain

    @property
    def systems(self) -> tuple[System, ...]:
        return self.plain, self.latchwork

    @property
    def layout(self) -> Layout:
        """The layout of all parts that measure one."""
        return self.options.layouts[0]

    @property
    def log(self) -> Path:
        """Where workers write; shown when something goes wrong."""
        return self.stage.folder / "workers.log"


def measure(options: Options, stage: Stage, results: Results) -> None:
    """Run the parts that were asked for."""
    from bench.parts import churn, delayed, drain, enqueue, growth, idle, latency, memory, recovery  # noqa: PLC0415  as systems

    parts: dict[str, Callable[[Run], None]] = {
        "enqueue": enqueue.run, "drain": drain.run, "latency": latency.run, "delayed": delayed.run,
        "memory": memory.run, "idle": idle.run, "recovery": recovery.run,
        "growth": growth.run, "churn": churn.run,
    }
    run = Run(
        options=options, stage=stage, results=results, latchwork=Latchwork(stage), alone=Alone(stage), plain=Plain(stage),
    )
    for name in options.parts:
        parts[name](run)
