"""What a handler is given: its attempt, and what it can ask and say while it runs."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import BinaryIO, NamedTuple

import structlog
from django.db import DatabaseError, transaction
from structlog.typing import FilteringBoundLogger

from apps.jobs.engine.board import Board, Word
from apps.jobs.engine.result import storable
from apps.jobs.errors import Cancelled, DeadlineExceeded, Fenced, LeaseLost, UnstorableResult
from apps.jobs.outcomes import JSON
from apps.jobs.services import artifacts
from apps.jobs.transitions import settle
from apps.jobs.transitions.statement import on_django
from core import clock

SHORTEST_IDLE_SECONDS = 5.0   # of an attempt whose time is nearly over: to be told so is not to lose the connection
PROGRESS_SECONDS = 0.5   # a progress in a tight loop must not become a load on the database


@cache
def _logger(type_name: str) -> FilteringBoundLogger:
    logger: FilteringBoundLogger = structlog.get_logger(f"job.{type_name}")
    return logger


class Assignment(NamedTuple):
    """One claimed job as the pool gets it; it goes through the pipe as a bare tuple, which is the cheapest to pickle."""

    id: str
    fence: int
    attempt: int
    failures: int
    type: str
    payload: str
    timeout_seconds: float
    request_id: str
    place: int
    not_before: float | None = None
    """When its handler may begin, on the monotonic clock that the processes of a machine share."""
    lock_token: int | None = None
    lock_until: float | None = None
    """When its lock could not be relied on any more unless it was renewed since, on `clock.elapsed`."""
    life: int = 0
    """In which life of its worker it was claimed."""


@contextmanager
def outermost() -> Iterator[bool]:
    """Open a transaction whose end is the block's end; raise `TransactionManagementError` where it could not be.

    It gives False in a test that is a transaction itself, as Django's `TestCase` is: only what a test sees ends there.

    Inside another `atomic` block, or without autocommit, somebody else would decide later whether what the block has
    reported as done is undone: call it outside, or do the rest in it too.
    """
    connection = transaction.get_connection()
    if not connection.in_atomic_block and not connection.get_autocommit():
        raise transaction.TransactionManagementError("job.transaction() cannot commit while autocommit is off: turn it on")
    if any(not block._from_testcase for block in connection.atomic_blocks):   # noqa: SLF001  as Django's `durable` does
        raise transaction.TransactionManagementError(
            "job.transaction() cannot commit inside transaction.atomic(): call it outside, and do in it what belongs together",
        )
    alone = not connection.in_atomic_block
    with transaction.atomic():
        yield alone


class Completion:
    """The handler's transaction: see `registry.Transaction`."""

    def __init__(self, context: "AttemptContext") -> None:
        self._context = context
        self.completed = False

    def complete(self, result: JSON = None) -> None:
        """Complete the job in this transaction: the effect and the completion are one commit."""
        done = settle.complete(
            on_django(), job_id=self._context.id, fence=self._context.fence, result=storable(result),
        )
        if not done:
            raise Fenced(self._context.id, fence=self._context.fence)
        self.completed = True


@dataclass(slots=True, kw_only=True)
class AttemptContext:
    """The context of one attempt in a worker: see `registry.Context`."""

    id: uuid.UUID
    type: str
    attempt: int
    fence: int
    timeout_seconds: float
    deadline: datetime
    board: Board
    place: int
    logger: FilteringBoundLogger
    lock_token: int | None = None
    completed: bool = False
    _ends: float = 0.0
    _reported: float = field(default=0.0)
    _left_out: tuple[float, float | None, str] | None = None

    @classmethod
    def of(cls, work: Assignment, board: Board) -> "AttemptContext":
        """Return the context of an attempt that begins now."""
        return cls(
            id=uuid.UUID(work.id), type=work.type, attempt=work.attempt, fence=work.fence,
            timeout_seconds=work.timeout_seconds, deadline=clock.now() + timedelta(seconds=work.timeout_seconds),
            board=board, place=work.place, logger=_logger(work.type), lock_token=work.lock_token,
            _ends=clock.elapsed() + work.timeout_seconds,
        )

    def check(self) -> None:
        """Raise `Cancelled`, `LeaseLost` or `DeadlineExceeded` when going on is pointless."""
        match self.board.read(self.place):
            case Word.CANCEL:
                raise Cancelled(self.id)
            case Word.LOST:
                raise LeaseLost(self.id)
            case Word.TIMED_OUT:
                raise DeadlineExceeded(self.id, timeout_seconds=self.timeout_seconds)
        if clock.elapsed() > self._ends:
            raise DeadlineExceeded(self.id, timeout_seconds=self.timeout_seconds)

    def progress(self, done: float, total: float | None = None, note: str = "") -> None:
        """Say how far the work is. What comes within half a second of the last is left out, but the end never."""
        now = clock.elapsed()
        if now - self._reported < PROGRESS_SECONDS and (total is None or done < total):
            self._left_out = (done, total, note)
            return
        self._reported, self._left_out = now, None
        if not self._report(done, total, note):
            raise Fenced(self.id, fence=self.fence)

    def close(self) -> None:
        """Write the progress that was left out last, once the handler has ended: a job that stopped says how far it came.

        A handler that completed its job itself has said all there is. That it cannot be written changes no outcome.
        """
        if self._left_out is not None and not self.completed:
            try:
                self._report(*self._left_out)
            except (DatabaseError, UnstorableResult) as exc:
                self.logger.warning("job.progress_lost", error=type(exc).__name__)

    def _report(self, done: float, total: float | None, note: str) -> bool:
        text = storable({"done": done, "total": total, "note": note[:500]}) or "null"
        return settle.report(on_django(), job_id=self.id, fence=self.fence, progress=text)

    @contextmanager
    def transaction(self) -> Iterator[Completion]:
        """Open a transaction in which this attempt provably holds the job.

        The job's row is locked on its id, fence and status, so that nobody can take the job before the commit; keep
        the block short, because cancel and rescue pass over a row that is held. It ends with this block: see `outermost`.
        """
        with outermost() as alone:
            idle = max(SHORTEST_IDLE_SECONDS, self._ends - clock.elapsed()) if alone else None
            if not settle.hold(on_django(), job_id=self.id, fence=self.fence, idle_seconds=idle):
                raise Fenced(self.id, fence=self.fence)
            completion = Completion(self)
            yield completion
        self.completed = self.completed or completion.completed

    def step_key(self, name: str) -> str:
        """Return a key that is the same in every attempt, for idempotency at other systems."""
        return f"{self.id}:{name}"

    def save_artifact(
        self, name: str, file: BinaryIO | bytes | Path, *, keep: timedelta | None = None, most_bytes: int | None = None,
    ) -> uuid.UUID:
        """Keep a file of this job under the attempt's fence, and return its id."""
        saved = artifacts.save_in_attempt(
            name, file, job_id=self.id, fence=self.fence, keep=keep, most_bytes=most_bytes,
        )
        return saved.id
