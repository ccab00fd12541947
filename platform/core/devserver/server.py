"""One store as a process that can be started, stopped, killed, frozen and thawed: the surface that tests use as well."""

import abc
import contextlib
import signal
import subprocess
import time
from pathlib import Path
from typing import ClassVar, Self

import psutil

from core import clock
from core.devserver import child, ports
from core.errors import PlatformError

ATTEMPTS = 3            # a port that was free a moment ago may be somebody's now
LEFTOVER_SECONDS = 10   # a killed runner's stores need a moment to end


class StoreError(PlatformError):
    """A store did not start; the message holds the end of its log."""

    def __init__(self, name: str, reason: str, log: str = "") -> None:
        self.name, self.reason = name, reason
        super().__init__(f"{name} {reason}" + (f"; its log ends with:\n{log}" if log else ""))


class Server(abc.ABC):
    """A server below `data_dir`, in a folder of its own, on a loopback port that it keeps.

    Call `start()` from the main thread: the server dies with the thread that started it.
    """

    name: str                         # the folder and the log are called so
    host: str = ports.HOST
    title: ClassVar[str]
    program: ClassVar[str]            # what the process calls itself, to know a leftover
    die_on: ClassVar[int]             # what the kernel sends it when we die
    stop_on: ClassVar[int] = signal.SIGTERM
    ready_seconds: ClassVar[float] = 60

    def __init__(self, *, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.folder = data_dir / self.name
        self.log = data_dir / f"{self.name}.log"
        self.port = 0
        self.process: subprocess.Popen[bytes] | None = None
        self._frozen: list[psutil.Process] = []
        self._attempts, self._give_up = 0, 0.0

    @abc.abstractmethod
    def prepare(self) -> None:
        """Make the folder and what must stand in it before each start."""

    @abc.abstractmethod
    def command(self) -> list[str | Path]:
        """Return what is executed in the folder."""

    @abc.abstractmethod
    def is_ready(self) -> bool:
        """Tell whether it answers a real question."""

    @property
    def account(self) -> tuple[int, int] | None:
        """Return user and group that the server runs as, when they are not ours."""
        return None

    def settle(self) -> None:  # noqa: B027  most have nothing to do
        """Do what is due once it is ready."""

    def start(self) -> Self:
        """Start and wait until it is ready."""
        self.launch()
        return self.wait_ready()

    def launch(self) -> Self:
        """Start without waiting, so that several get ready at the same time; then call `advance()` until it is true."""
        self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._wait_for_leftover()
        self.prepare()
        self._attempts, self._give_up = 1, clock.elapsed() + self.ready_seconds
        self._execute()
        return self

    def advance(self) -> bool:
        """Tell whether it is ready; take another port when somebody else was faster at the one that was free."""
        if self.is_ready():
            self.settle()
            return True
        if self.poll() is not None:
            if self._attempts == ATTEMPTS or ports.is_free(self.port, host=self.host):
                raise StoreError(self.title, f"ended with status {self.poll()} while starting", self._tail())
            self._attempts, self.port = self._attempts + 1, 0
            self._execute()
        elif clock.elapsed() > self._give_up:
            self.kill()
            raise StoreError(self.title, f"was not ready within {self.ready_seconds:.0f} s", self._tail())
        return False

    def wait_ready(self) -> Self:
        """Wait until it answers."""
        while not self.advance():
            self._pause(0.05)
        return self

    def stop(self, *, seconds: float = 10) -> None:
        """Stop in an orderly way, or by force when that takes too long."""
        if self.process is None:
            return
        self.resume()
        if self.process.poll() is None:
            self.process.send_signal(self.stop_on)
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.kill()
        self.process = None

    def kill(self) -> None:
        """End every process of it at once, as a power cut would."""
        if self.process is None:
            return
        victims = self._tree()
        for victim in victims:
            with contextlib.suppress(psutil.NoSuchProcess):
                victim.kill()
        self.process.wait()
        while any(_lives(victim) for victim in victims):
            time.sleep(0.005)
        self.process, self._frozen = None, []

    def stall(self) -> None:
        """Freeze it: connections stay open and nothing answers."""
        self._frozen = self._tree()
        for process in self._frozen:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.suspend()

    def resume(self) -> None:
        """Thaw it."""
        for process in reversed(self._frozen):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()
        self._frozen = []

    def restart(self) -> Self:
        """Stop it and start it again on the same data and, unless somebody took it, the same port."""
        self.stop()
        return self.start()

    def poll(self) -> int | None:
        """Return the status that it ended with, or None while it runs."""
        return None if self.process is None else self.process.poll()

    @property
    def running(self) -> bool:
        """Tell whether its process lives; a frozen one does."""
        return self.process is not None and self.process.poll() is None

    @property
    def frozen(self) -> bool:
        """Tell whether it is stalled and not resumed yet."""
        return bool(self._frozen)

    def leftover(self) -> psutil.Process | None:
        """Return a process that works in our folder and is not ours."""
        for process in psutil.process_iter(["name"]):
            with contextlib.suppress(psutil.Error, OSError):
                if (
                    self.program in (process.info["name"] or "")
                    and _lives(process)
                    and Path(process.cwd()) == self.folder.resolve()
                ):
                    return process
        return None

    def _execute(self) -> None:
        self.port = self.port or ports.keep(self.data_dir, self.name)   # who restarts it keeps its clients
        if self.log.exists():
            self.log.replace(self.log.with_suffix(".log.1"))
        with self.log.open("wb") as log:
            self.process = child.start(
                self.command(), cwd=self.folder, die_on=self.die_on, account=self.account, output=log,
            )

    def _wait_for_leftover(self) -> None:
        until = clock.elapsed() + LEFTOVER_SECONDS
        while (other := self.leftover()) is not None:
            if clock.elapsed() > until:
                reason = f"already runs on {self.folder} as process {other.pid}: stop that one first (kill {other.pid})"
                raise StoreError(self.title, reason)
            self._pause(0.1)

    def _tree(self) -> list[psutil.Process]:
        if self.process is None:
            return []
        try:
            main = psutil.Process(self.process.pid)
            return [main, *main.children(recursive=True)]   # main first: frozen, it makes no more
        except psutil.NoSuchProcess:
            return []

    def _tail(self) -> str:
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(f"  {line}" for line in lines[-8:])

    def _pause(self, seconds: float) -> None:
        if self.process is None:
            time.sleep(seconds)
        else:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(seconds)   # returns early when it ends


def _lives(process: psutil.Process) -> bool:
    """Tell whether a process can still do anything; init takes its time to bury the dead."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
