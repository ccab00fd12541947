"""What the stack uses while nothing happens, in % of a core: the programs of `make up`, and Celery's worker and beat."""

import sys
import time
from collections.abc import Callable

from bench import fleet
from bench.fleet import Fleet
from bench.run import Run
from bench.stage import ROOT
from core.devserver import ports
from core.devserver.stack import Stack

SETTLING_SECONDS = 5
READY_SECONDS = 60
SLOTS = 2


def run(run: Run) -> None:
    for name, start in (("latchwork", _ours), ("celery", _plain)):
        run.latchwork.purge()
        crews = start(run)
        try:
            time.sleep(SETTLING_SECONDS)
            used = _watched(run, crews, run.options.idle_seconds)
        finally:
            for crew in crews.values():
                crew.kill()
        run.results.note(part="idle", case="stack", system=name, metrics=used)


def _ours(run: Run) -> dict[str, Fleet]:
    stack = Stack(
        root=ROOT, data_dir=run.stage.folder, addresses=run.stage.addresses, port=ports.unused(), flower_port=0,
        mail_port=None, workers=1,
    )
    crews = {}
    for program in stack.programs(("web", "worker", "beat")):
        crews[program.name] = fleet.start([program.command], log=run.log, environment=dict(program.environment))
        if program.is_ready:
            _wait(program.name, program.is_ready)
    return crews


def _plain(run: Run) -> dict[str, Fleet]:
    celery = (sys.executable, "-m", "celery", "--quiet", "-A", run.plain.application)
    crews = {
        "worker": fleet.start([(*celery, "worker", "-l", "WARNING", "-c", str(SLOTS))], log=run.log),
        "beat": fleet.start([(*celery, "beat", "-l", "WARNING")], log=run.log),
    }
    for item in [(0, time.time(), 0.0)]:
        run.plain.enqueue(item)
    run.stage.stamps.wait(1, seconds=READY_SECONDS)
    return crews


def _wait(name: str, is_ready: Callable[[], bool]) -> None:
    until = time.monotonic() + READY_SECONDS
    while not is_ready():
        if time.monotonic() > until:
            msg = f"{name} was not ready within {READY_SECONDS} s"
            raise TimeoutError(msg)
        time.sleep(0.1)


def _watched(run: Run, crews: dict[str, Fleet], seconds: float) -> dict[str, float]:
    pids = [server.process.pid for server in run.stage.servers if server.process]

    def spent() -> dict[str, float]:
        programs = {name: crew.main_cpu() + crew.child_cpu() for name, crew in crews.items()}
        return {**programs, "servers": fleet.cpu(fleet.tree(pids))}

    before, since = spent(), time.monotonic()
    time.sleep(seconds)
    took = time.monotonic() - since
    used = {name: (value - before[name]) / took * 100 for name, value in spent().items()}
    programs = sum(value for name, value in used.items() if name != "servers")
    return {"programs_percent": programs, **{f"{name}_percent": value for name, value in used.items()}}
