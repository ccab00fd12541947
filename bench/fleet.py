"""Worker processes: started warm, frozen, thawed, killed, and asked what they have used."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.options import Layout
from bench.stage import ROOT
from bench.systems import System, numbered
from core.devserver import child

WARM = 40            # jobs of one warming round
WARM_SECONDS = 60
REST_SECONDS = 0.5   # after them, so that nothing is under way any more
WARM_FROM = -1_000_000   # their numbers: below those of any measured job


class NotReady(RuntimeError):
    """Workers did not run their first jobs."""

    def __init__(self, name: str, log: Path) -> None:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
        tail = "\n  ".join(lines[-20:])
        super().__init__(f"{name}: the workers did not run their first jobs; their log ends with\n  {tail}")


@dataclass(frozen=True, slots=True)
class Memory:
    rss_mib: float
    pss_mib: float


class Fleet:
    """The workers of one system."""

    def __init__(self, processes: Sequence[subprocess.Popen[bytes]]) -> None:
        self.mains = [psutil.Process(process.pid) for process in processes]
        self._processes = processes

    def children(self) -> list[psutil.Process]:
        return [each for main in self.mains for each in main.children(recursive=True)]

    def alive(self) -> bool:
        return all(process.poll() is None for process in self._processes)

    def freeze(self) -> None:
        for main in self.mains:
            main.suspend()

    def thaw(self) -> None:
        for main in self.mains:
            main.resume()

    def kill(self) -> None:
        """End all at once, as a power cut would."""
        everything = [*self.mains, *self.children()]
        for victim in everything:
            with contextlib.suppress(psutil.NoSuchProcess):
                victim.kill()
        for process in self._processes:
            process.wait()
        psutil.wait_procs(everything, timeout=10)

    def stop(self, *, seconds: float) -> None:
        """Ask them to end, and end them when that takes too long."""
        for process in self._processes:
            process.send_signal(signal.SIGTERM)
        until = time.monotonic() + seconds
        while any(process.poll() is None for process in self._processes) and time.monotonic() < until:
            time.sleep(0.05)
        with contextlib.suppress(psutil.NoSuchProcess):
            self.kill()

    def main_cpu(self) -> float:
        return cpu(self.mains)

    def child_cpu(self) -> float:
        return cpu(self.children())

    def memory(self) -> Memory:
        facts = [process.memory_full_info() for process in (*self.mains, *self.children())]
        return Memory(sum(fact.rss for fact in facts) / 2**20, sum(fact.pss for fact in facts) / 2**20)


@contextlib.contextmanager
def workers(
    system: System, layout: Layout, *, pool: str, log: Path, environment: Mapping[str, str] | None = None,
) -> Iterator[Fleet]:
    """Start workers for the time of the block, and kill them at its end."""
    fleet = start(system.commands(layout, pool=pool), log=log, environment=environment)
    try:
        yield fleet
    finally:
        with contextlib.suppress(psutil.NoSuchProcess):
            fleet.kill()


def start(
    commands: Iterable[Sequence[str]], *, log: Path, environment: Mapping[str, str] | None = None,
) -> Fleet:
    """Start processes that die with this one."""
    with log.open("ab") as output:
        return Fleet([
            child.start(command, cwd=ROOT, env={**os.environ, **(environment or {})}, output=output)
            for command in commands
        ])


def warm(system: System, fleet: Fleet, layout: Layout, *, pool: str, log: Path) -> None:
    """Have every slot run some jobs, so that imports, plans and first measurements are behind it."""
    stamps = system.stage.stamps
    expected = layout.workers * (layout.slots if pool == "prefork" else 1)
    until, rounds = time.monotonic() + WARM_SECONDS, 0
    while len({stamp.pid for stamp in stamps.read()}) < expected or rounds < 5:
        if time.monotonic() > until or not fleet.alive():
            raise NotReady(system.name, log)
        for item in numbered(WARM, first=WARM_FROM + rounds * WARM):
            system.enqueue(item)
        system.flush()
        rounds += 1
        stamps.wait(rounds * WARM, seconds=30 if rounds == 1 else 5)
    system.flush()
    time.sleep(REST_SECONDS)
    stamps.clear()


def cpu(processes: Iterable[psutil.Process]) -> float:
    """Return the CPU seconds of processes, those of their children that have ended included."""
    total = 0.0
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def tree(pids: Iterable[int]) -> list[psutil.Process]:
    """Return processes with everything below them."""
    found = [psutil.Process(pid) for pid in pids]
    return [*found, *(each for process in found for each in process.children(recursive=True))]


@contextlib.contextmanager
def beat(system: System, *, log: Path) -> Iterator[Fleet | None]:
    """Run beat beside the workers, where the system needs it for delays: Celery holds them in its workers."""
    if system.name != "latchwork":
        yield None
        return
    fleet = start([(sys.executable, "-m", "celery", "--quiet", "-A", system.application, "beat", "-l", "WARNING")], log=log)
    try:
        yield fleet
    finally:
        with contextlib.suppress(psutil.NoSuchProcess):
            fleet.kill()
