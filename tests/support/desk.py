"""Where a handler and its test meet: files in a folder, which need neither the database nor the broker."""

import os
import time
from collections.abc import Callable
from pathlib import Path

from apps.jobs import Context
from core import clock

LONGEST_WAIT = 60.0


class Desk:
    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)

    def began(self, job_id: object, attempt: int = 1) -> int:
        """Return the pid of the process in which an attempt has begun; 0 while it has not."""
        note = self.folder / f"{job_id}.{attempt}"
        return int(note.read_text()) if note.exists() else 0

    def beginnings(self) -> list[str]:
        """Return the notes of all attempts that have begun, as `id.attempt`."""
        return sorted(note.name for note in self.folder.glob("*-*.*") if note.suffix != ".part")

    def go(self) -> None:
        """Let everybody who waits here go on."""
        (self.folder / "go").touch()

    def begin(self, job: Context) -> None:
        note = self.folder / f"{job.id}.{job.attempt}"
        part = note.with_name(note.name + ".part")
        part.write_text(str(os.getpid()))
        part.rename(note)

    def wait(self, check: Callable[[], None]) -> None:
        over = clock.elapsed() + LONGEST_WAIT
        while not (self.folder / "go").exists() and clock.elapsed() < over:
            check()
            time.sleep(0.01)
