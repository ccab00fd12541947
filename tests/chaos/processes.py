"""The programs of a stack as processes that a test can kill, freeze and look into."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from core.devserver import child
from tests.support.waiting import until

TAIL_LINES = 25
STOP_SECONDS = 30


class Program:
    """A Celery program in a process group of its own; it dies with pytest."""

    def __init__(self, name: str, arguments: Sequence[str], *, folder: Path, env: Mapping[str, str]) -> None:
        self.name, self.log = name, folder / f"{name}.log"
        command = [sys.executable, "-m", "celery", "--quiet", "-A", "config", *arguments]
        with self.log.open("wb") as log:
            self.process = child.start(command, cwd=folder, env=env, output=log)

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def children(self) -> list[psutil.Process]:
        with contextlib.suppress(psutil.NoSuchProcess):
            return psutil.Process(self.process.pid).children()
        return []

    def pids(self) -> set[int]:
        return {self.process.pid, *(each.pid for each in self.children())}

    def kill_group(self) -> None:
        """SIGKILL for the main process and its children at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def kill_main(self) -> None:
        """SIGKILL for the main process alone."""
        self.process.kill()
        self.process.wait()

    def freeze(self) -> None:
        os.killpg(self.process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGCONT)

    def thaw_children(self) -> None:
        for each in self.children():
            with contextlib.suppress(psutil.NoSuchProcess):
                each.resume()

    def ask_to_stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def ended(self, *, seconds: float = STOP_SECONDS) -> int | None:
        """Wait for the end that it was asked for; None when it did not come, and then it is killed."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill_group()
            return None

    def says(self, words: str) -> bool:
        return words in self.log.read_text(errors="replace")

    def tail(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()
        shown = [line[:400] for line in lines if '"job.settled"' not in line][-TAIL_LINES:]
        return f"--- {self.name} (status {self.process.poll()})\n" + "\n".join(shown)


class Worker(Program):
    """A Celery worker with everything on that runs beside the jobs."""

    def __init__(self, name: str, *, pool: str, slots: int, folder: Path, env: Mapping[str, str]) -> None:
        self.pool, self.slots = pool, slots
        super().__init__(
            name,
            [
                "worker", f"--hostname={name}@chaos", f"--pool={pool}", f"--concurrency={slots}", "--task-events",
                "--without-gossip", "--without-mingle",
            ],
            folder=folder, env={**env, "CHAOS_ROLE": "worker"},
        )


class Application:
    """See `application.py`."""

    def __init__(self, *, folder: Path, env: Mapping[str, str]) -> None:
        self._folder, self._env = folder, env
        self._process: subprocess.Popen[str] | None = None

    def enqueue(self, job_type: str, payloads: Sequence[Any], *, one_by_one: bool = False, **options: Any) -> list[str]:
        """Enqueue as an application does, and return the ids."""
        answer = self._ask(job_type, payloads, options=options, one_by_one=one_by_one)
        assert answer, f"the application ended:\n{(self._folder / 'application.log').read_text()}"
        return list(json.loads(answer))

    def enqueue_and_crash(self, job_type: str, payloads: Sequence[Any]) -> None:
        """Commit, and be killed before anything is rung."""
        answer = self._ask(job_type, payloads, options={}, crash_after_commit=True)
        assert self._process is not None
        assert (answer, self._process.wait(10)) == ("", -signal.SIGKILL)

    @contextlib.contextmanager
    def enqueueing_until_it_fails(self, job_type: str, *, flushes: bool = True) -> Iterator[list[str]]:
        """Enqueue one at a time from the beginning of the block on; at its end the list holds the ids that were returned.

        The database must be gone by then. Without `flushes` nobody waits for its disk.
        """
        told: list[str] = []
        self._tell(job_type, [], options={}, until_it_fails=True, flushes=flushes)
        yield told
        told += json.loads(self._heard())
        if not flushes:
            self.close()

    def close(self) -> None:
        if self._process is not None:
            self._process.communicate()   # end of input ends it
            self._process = None

    def _ask(self, job_type: str, payloads: Sequence[Any], **how: Any) -> str:
        self._tell(job_type, payloads, **how)
        return self._heard()

    def _tell(
        self, job_type: str, payloads: Sequence[Any], *, options: Mapping[str, Any], one_by_one: bool = False,
        crash_after_commit: bool = False, until_it_fails: bool = False, flushes: bool = True,
    ) -> None:
        process = self._started()
        order = {
            "type": job_type, "payloads": list(payloads), "options": options, "one_by_one": one_by_one,
            "crash_after_commit": crash_after_commit, "until_it_fails": until_it_fails, "flushes": flushes,
        }
        assert process.stdin is not None
        process.stdin.write(json.dumps(order) + "\n")
        process.stdin.flush()

    def _heard(self) -> str:
        assert self._process is not None
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def _started(self) -> subprocess.Popen[str]:
        if self._process is not None and self._process.poll() is not None:
            self.close()
        if self._process is None:
            with (self._folder / "application.log").open("wb") as log:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "tests.chaos.application"], cwd=self._folder, env=self._env, text=True,
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, start_new_session=True,
                )
        return self._process


def gone(pids: set[int], *, seconds: float = 10) -> None:
    """Wait until none of these processes lives any more."""

    def living() -> list[int]:
        found = []
        for pid in pids:
            with contextlib.suppress(psutil.NoSuchProcess):
                if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                    found.append(pid)
        return found

    until(lambda: living() == [], timeout=seconds, message="processes are still alive")
