"""The file in memory where a worker's trays lie and its board's names, so that they are there when the worker is not.

Whoever kills a worker, kills its main process before it has settled what its children told a moment ago. Nobody's memory is
needed for that: the file stays, and the next worker of the same database on this host reads it (see `remains`).

A worker locks its file (flock(2)) and its children share the lock, which the system lifts when the last of them is gone,
however it went: who gets the lock knows that nothing of that worker runs any more. No pid is compared, none can be used again.
"""

import fcntl
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import structlog
from django.db import connections

from apps.jobs.engine.board import NAMES_SIZE, Board, begun_in
from apps.jobs.engine.tray import SIZE, Tray, Trays
from core.ids import uuid7

FOLDER = Path("/dev/shm")   # noqa: S108  memory that outlives a process; what lies there is believed only from ourselves
NAMES_AT = 4096             # in bytes, after the worker's id; mappings begin with a page
TRAYS_AT = NAMES_AT + NAMES_SIZE
PRIVATE = stat.S_IRUSR | stat.S_IWUSR
_ID = 16

log = structlog.get_logger(__name__)


class Shelf:
    """A worker's file, and the lock on it for as long as this object or a process forked from here lives."""

    def __init__(self, path: Path, file: int) -> None:
        self.path, self._file = path, file

    def sign(self, worker: UUID) -> None:
        """Write down whose trays these are: the id of the worker's row."""
        os.pwrite(self._file, worker.bytes, 0)

    def signed(self) -> UUID | None:
        """Return the id of the worker's row; None where it had none yet."""
        read = os.pread(self._file, _ID, 0)
        return UUID(bytes=read) if any(read) else None

    def told(self) -> list[Any]:
        """Return what children have told, settled or not."""
        count = (os.fstat(self._file).st_size - TRAYS_AT) // SIZE
        return [told for number in range(count) for told in Tray(self._file, offset=TRAYS_AT + number * SIZE).take(0)]

    def begun(self) -> set[tuple[str, int]]:
        """Return id and fence of the jobs whose handlers were called; of those that had not ended, of all."""
        return begun_in(self._file, offset=NAMES_AT)

    def take_down(self) -> None:
        """Remove the file: everything in it is settled."""
        self.path.unlink(missing_ok=True)
        self.leave()

    def leave(self) -> None:
        """Let go of the file; a worker's own stays locked by what its children and itself have mapped of it."""
        os.close(self._file)


def put_up(board: Board, trays: Trays) -> Shelf | None:
    """Lay the trays and names of this worker on a shelf, before its pool forks; None where a host has no place for one.

    Without it they lie in memory that goes with the worker, and what was told and not settled then runs again.
    """
    path = FOLDER / f"{_prefix()}{uuid7()}"
    unseen = path.with_name(f".{path.name}")   # until it is locked: else it would look like a dead worker's
    try:
        file = os.open(unseen, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, PRIVATE)
    except OSError as exc:
        log.info("shelf.none", folder=str(FOLDER), error=f"{type(exc).__name__}: {exc}")
        return None
    try:
        os.ftruncate(file, TRAYS_AT + len(trays) * SIZE)
        os.posix_fallocate(file, 0, TRAYS_AT)
        trays.move(file, offset=TRAYS_AT)
        board.move_names(file, offset=NAMES_AT)
        fcntl.flock(file, fcntl.LOCK_EX)
        unseen.rename(path)
    except (OSError, AttributeError) as exc:   # no room, or a system without posix_fallocate
        log.info("shelf.none", folder=str(FOLDER), error=f"{type(exc).__name__}: {exc}")
        unseen.unlink(missing_ok=True)
        os.close(file)
        return None
    return Shelf(path, file)


def abandoned() -> Iterator[Shelf]:
    """Yield the shelves of workers of this database and this user, of which nothing runs any more, each locked."""
    with suppress(OSError):
        for path in sorted(FOLDER.glob(f"{_prefix()}*")):
            found = _locked(path)
            if found is not None:
                yield found


def _locked(path: Path) -> Shelf | None:
    try:
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:   # it lives, or somebody else has found it
        os.close(file)
        return None
    facts = os.fstat(file)
    ours = stat.S_ISREG(facts.st_mode) and facts.st_uid == os.geteuid() and not facts.st_mode & ~PRIVATE & 0o777
    if not ours or not facts.st_nlink:   # the last: somebody has settled it while we waited for nothing
        os.close(file)
        return None
    return Shelf(path, file)


def _prefix() -> str:
    known = connections["default"].settings_dict
    database = "\0".join(str(known[name]) for name in ("HOST", "PORT", "NAME"))
    return f"latchwork-{hashlib.sha256(database.encode()).hexdigest()[:16]}-"
