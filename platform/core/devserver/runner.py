"""Run programs together: one log, restarts with back-off, and one orderly end, in a single loop without threads.

No threads, because the kernel ends a child when the *thread* that started it ends. A signal only sets a mark that the
loop sees, so that nothing is ever interrupted half way.
"""

import os
import selectors
import signal
import socket
from collections.abc import Callable, Iterable
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

from core import clock
from core.devserver.console import Console, Lines
from core.devserver.parent import Parent
from core.devserver.program import CRASHES, WITHIN_SECONDS, Crashes, Program, Running
from core.devserver.server import Server
from core.devserver.stores import Stores
from core.errors import PlatformError

STOP_SECONDS = 9      # for what runs to finish; the stores follow
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
OURS = "up"            # the name before our own lines


class StopRequested(Exception):   # not an error: somebody pressed Ctrl-C
    """Somebody wants everything to end."""


class GaveUp(PlatformError):
    """A program ends again and again, or did not get ready."""


class Runner:
    """Use as a context manager; leaving it stops everything, however it is left."""

    def __init__(self, *, console: Console, stores: Stores, cwd: Path) -> None:
        self.console, self.stores, self.cwd = console, stores, cwd
        self.running: list[Running] = []
        self._signals: list[tuple[int, float]] = []
        self._crashes: dict[Server, Crashes] = {}
        self._selector = selectors.DefaultSelector()
        self._wake, self._wakeup = socket.socketpair()
        self._handlers: dict[int, Callable[[int, FrameType | None], object] | int | None] = {}
        self._parent = Parent()
        self._stopping = False

    def __enter__(self) -> Self:
        for end in (self._wake, self._wakeup):
            end.setblocking(False)
        self._selector.register(self._wake, selectors.EVENT_READ)
        signal.set_wakeup_fd(self._wakeup.fileno(), warn_on_full_buffer=False)
        self._handlers = {number: signal.signal(number, self._on_signal) for number in SIGNALS}
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None) -> None:
        try:
            self.stop()
        finally:
            signal.set_wakeup_fd(-1)
            for number, handler in self._handlers.items():
                signal.signal(number, handler)
            self._selector.close()
            self._wake.close()
            self._wakeup.close()

    def start(self, programs: Iterable[Program]) -> None:
        """Start programs that are to run until the end."""
        for program in programs:
            running = Running(program, cwd=self.cwd)
            self.running.append(running)
            self._start(running)

    def complete(self, program: Program) -> int:
        """Run a program to its end, beside all others, and return its status."""
        once = Running(program, cwd=self.cwd)
        self._start(once)
        try:
            while once.alive:
                self.run_once(seconds=0.05)
        finally:
            once.end()
        self._drain()
        return once.poll() or 0

    def wait_ready(self, *, seconds: float) -> None:
        """Return when every program was seen ready."""
        until = clock.elapsed() + seconds
        while unready := [running.name for running in self.running if not running.look()]:
            if clock.elapsed() > until:
                raise GaveUp(f"{', '.join(unready)} did not get ready within {seconds:.0f} s: see the lines above")
            self.run_once(seconds=0.05)

    def run(self) -> None:
        """Run until somebody wants the end."""
        while True:
            self.run_once(seconds=1)

    def run_once(self, *, seconds: float) -> None:
        """Pass on the lines that come within that time, and start again what has ended."""
        self.idle(seconds=seconds)
        for server in self.stores.servers:
            if (status := server.poll()) is not None:
                self._restart_store(server, status)
        for running in self.running:
            if (status := running.poll()) is not None:
                self._note_crash(running, status)
            elif running.again_at is not None and clock.elapsed() >= running.again_at:
                self._start(running)

    def idle(self, *, seconds: float) -> None:
        """Pass on lines and hear signals, nothing more."""
        self._pump(seconds)
        if self._signals or self.console.broken or self._parent.was_interrupted():
            raise StopRequested

    def stop(self) -> None:
        """Ask all to finish while the stores still live, end what does not, then stop the stores. Idempotent."""
        if self._stopping:
            return
        self._stopping = True
        until = clock.elapsed() + STOP_SECONDS
        for running in self.running:
            running.send(running.program.stop_on)
        while any(running.alive for running in self.running) and clock.elapsed() < until and not self._impatient():
            self._pump(0.1)
        for running in self.running:
            if running.alive:
                self.say(f"{running.name} did not end by itself: killed")
            running.end()
        self._drain()
        if self._impatient():
            self.stores.kill()
        else:
            self.stores.stop()

    def say(self, text: str) -> None:
        """Write a line of our own."""
        self.console.line(OURS, text)

    def _start(self, running: Running) -> None:
        pipe = running.start()
        os.set_blocking(pipe, False)
        self._selector.register(pipe, selectors.EVENT_READ, (running.name, Lines()))

    def _restart_store(self, server: Server, status: int) -> None:
        if self._crashes.setdefault(server, Crashes()).note() is None:
            raise GaveUp(f"{server.title} ended {CRASHES} times within {WITHIN_SECONDS} s: see {server.log}")
        self.say(f"{server.title} ended with status {status}; starting it again")
        port = server.port
        server.launch().wait_ready()
        if server.port != port:
            raise GaveUp(f"somebody took port {port} of {server.title}: start again, it gets another one")

    def _note_crash(self, running: Running, status: int) -> None:
        self._drain()
        delay = running.note_crash()
        how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        if delay is None:
            raise GaveUp(f"{running.name} {how}, {CRASHES} times within {WITHIN_SECONDS} s: see its lines above")
        self.say(f"{running.name} {how}; starting it again in {delay:g} s")

    def _drain(self) -> None:
        """Pass on what has been written and not yet read: the last words matter most."""
        while self._pump(0):
            pass

    def _pump(self, seconds: float) -> bool:
        """Pass on what comes within that time; tell whether anything came."""
        came = False
        for key, _ in self._selector.select(seconds):
            if key.data is None:
                self._wake.recv(4096)
                continue
            came = True
            try:
                data = os.read(key.fd, 65_536)
            except OSError:
                data = b""
            name, lines = key.data
            for line in lines.feed(data):
                self.console.line(name, line)
            if not data:
                self._selector.unregister(key.fd)
                os.close(key.fd)
        return came

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        self._signals.append((number, clock.elapsed()))

    def _impatient(self) -> bool:
        """Tell whether Ctrl-C was pressed again; a SIGTERM often comes twice, from a parent and to the group."""
        if not self._signals:
            return False
        first = self._signals[0][1]
        return any(number == signal.SIGINT and moment - first > 1 for number, moment in self._signals)
