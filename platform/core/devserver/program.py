"""One program of the stack: what is run, how one sees that it is ready, and its process with what that has been through."""

import contextlib
import os
import signal
import subprocess
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from core import clock
from core.devserver import child

CRASHES, WITHIN_SECONDS = 5, 60
BACK_OFF = (0.5, 1, 2, 4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What is run. Without `is_ready` it is ready as soon as it runs."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    is_ready: Callable[[], bool] | None = None
    stop_on: int = signal.SIGTERM


class Crashes:
    """Counts unexpected ends, to tell one from a series."""

    def __init__(self) -> None:
        self._moments: deque[float] = deque(maxlen=CRASHES)

    def note(self) -> float | None:
        """Return after how many seconds to start again, or None when there were too many lately."""
        now = clock.elapsed()
        self._moments.append(now)
        recent = sum(now - moment < WITHIN_SECONDS for moment in self._moments)
        return None if recent >= CRASHES else BACK_OFF[min(recent, len(BACK_OFF)) - 1]


class Running:
    """A program's process, and the next one when that ends."""

    def __init__(self, program: Program, *, cwd: Path) -> None:
        self.program, self.cwd = program, cwd
        self.process: subprocess.Popen[bytes] | None = None
        self.ready = False
        self.crashes = Crashes()
        self.again_at: float | None = None

    @property
    def name(self) -> str:
        return self.program.name

    def start(self) -> int:
        """Start the process and return the number of the pipe that its lines come out of."""
        read_end, write_end = os.pipe()
        try:
            self.process = child.start(
                self.program.command,
                cwd=self.cwd,
                env={**os.environ, **self.program.environment},
                output=write_end,
            )
        finally:
            os.close(write_end)
        self.ready, self.again_at = False, None
        return read_end

    def poll(self) -> int | None:
        """Return the status that the process ended with, or None while it runs or was never started."""
        return self.process.poll() if self.process else None

    @property
    def alive(self) -> bool:
        """Tell whether the process runs."""
        return self.process is not None and self.process.poll() is None

    def look(self) -> bool:
        """Tell whether it is ready, asking until it was once."""
        if not self.ready and self.alive:
            self.ready = self.program.is_ready is None or self.program.is_ready()
        return self.ready

    def note_crash(self) -> float | None:
        """Note an unexpected end; return after how many seconds to start again, or None after too many of them."""
        self.end()   # what it left behind would meet its successor
        self.process, self.ready = None, False
        delay = self.crashes.note()
        self.again_at = None if delay is None else clock.elapsed() + delay
        return delay

    def send(self, number: int) -> None:
        """Send a signal to the process itself, which passes on to its own children what they should know."""
        if self.alive and self.process:
            self.process.send_signal(number)

    def end(self) -> None:
        """End the process and everything it started, at once."""
        if self.process:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
