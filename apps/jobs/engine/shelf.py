"""The file in memory where a worker's trays lie and the fences of what it began, so that they are there when the worker is not.

Whoever kills a worker, kills its main process before it has settled what its children told a moment ago. Nobody's memory is
needed for that: the file stays, and the next worker of the same database on this host reads it (see `remains`).

A worker locks its file (flock(2)) and its children share the lock, which the system lifts when the last of them is gone,
however it went: who gets the lock knows that nothing of that worker runs any more. No pid is compared, none can be used again.
"""

import fcntl
import hashlib
import mmap
import os
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import structlog
from django.db import connections

from apps.jobs.engine.board import FENCES_SIZE, Board, begun_in
from apps.jobs.engine.tray import SIZE, VERSION, Tray, Trays
from apps.jobs.transitions.settle import Ending
from core.ids import uuid7

FENCES_AT = 4096            # in bytes, after the worker's id; mappings begin with a page
TRAYS_AT = FENCES_AT + FENCES_SIZE
LAYOUT = repr((TRAYS_AT, SIZE, VERSION, Ending._fields))
OLD_SECONDS = 86_400        # what nobody has read by then nobody will: another database, layout or address
PRIVATE = stat.S_IRUSR | stat.S_IWUSR
_ID = 16

log = structlog.get_logger(__name__)


class Shelf:
    """A worker's file, and the lock on it for as long as this object's file, or what is mapped of it anywhere, is open."""

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
        size = os.fstat(self._file).st_size - TRAYS_AT
        with mmap.mmap(self._file, size, offset=TRAYS_AT) as memory, memoryview(memory) as view:
            return [told for at in range(0, size, SIZE) for told in _told(view[at:at + SIZE])]

    def begun(self) -> set[int]:
        """Return the fences of jobs that had begun; of those that had not ended, of all."""
        return begun_in(self._file, offset=FENCES_AT)

    def touch(self) -> None:
        """Say that its worker lives: once nobody has for a day, nobody will want it. Writing what is mapped does not say it."""
        os.utime(self._file)

    def take_down_old(self) -> None:
        """Remove the file if nobody will read it any more: it is of another database, address or layout, and old."""
        if time.time() - os.fstat(self._file).st_mtime > OLD_SECONDS:
            self.take_down()

    def take_down(self) -> None:
        """Remove the file: everything in it is settled. It stays open, for what is mapped of it may grow."""
        self.path.unlink(missing_ok=True)

    def leave(self) -> None:
        """Let go of somebody else's file."""
        os.close(self._file)


def put_up(folder: Path, board: Board, trays: Trays) -> Shelf | None:
    """Lay the trays and fences of this worker on a shelf, before its pool forks; None where a host has no place for one.

    Without it they lie in memory that goes with the worker, and what was told and not settled then runs again.
    """
    path = folder / f"{_prefix()}{uuid7()}"
    unseen = path.with_name(f".{path.name}")   # until it is locked: else it would look like a dead worker's
    try:
        file = os.open(unseen, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, PRIVATE)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            os.ftruncate(file, TRAYS_AT + len(trays) * SIZE)
            os.posix_fallocate(file, 0, TRAYS_AT)
            board.move_fences(file, offset=FENCES_AT)
            trays.move(file, offset=TRAYS_AT)   # last: from here on the file stays open
            unseen.rename(path)
        except BaseException:
            unseen.unlink(missing_ok=True)
            raise
    except (OSError, ValueError, AttributeError) as exc:   # no folder, no room, or a system without posix_fallocate
        log.warning("shelf.none", folder=str(folder), error=f"{type(exc).__name__}: {exc}", then="what a kill leaves waits for the lease")
        return None
    return Shelf(path, file)


def abandoned(folder: Path) -> Iterator[Shelf]:
    """Yield the shelves of workers of this database and this user, of which nothing runs any more, each locked."""
    ours = _prefix()
    with suppress(OSError):
        for path in sorted((*folder.glob("latchwork-*"), *folder.glob(".latchwork-*"))):
            found = _locked(path)
            if found is not None and path.name.startswith(ours):
                yield found
            elif found is not None:
                found.take_down_old()
                found.leave()


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


def _told(memory: memoryview) -> list[Any]:
    tray = Tray(memory)
    try:
        return tray.take(0)
    finally:
        tray.close()


def _prefix() -> str:
    """Return how the names of files begin that this code can read: of this database, in this layout."""
    known = connections["default"].settings_dict
    database = "\0".join(str(known[name]) for name in ("HOST", "PORT", "NAME"))
    return f"latchwork-{hashlib.sha256(f'{LAYOUT}{database}'.encode()).hexdigest()[:16]}-"
