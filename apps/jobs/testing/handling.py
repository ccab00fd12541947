"""Call one handler, with a context that remembers what it was told. No row of a job, no fence, no worker."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO

import structlog
from structlog.typing import FilteringBoundLogger

from apps.jobs import registry
from apps.jobs.engine.context import outermost
from apps.jobs.engine.result import storable
from apps.jobs.errors import Cancelled, DeadlineExceeded
from apps.jobs.outcomes import JSON, Cancel, Discard, Outcome, Retry, Snooze
from apps.jobs.services import artifacts
from core import clock
from core.ids import uuid7


@dataclass(frozen=True, slots=True)
class Progress:
    """What the handler said about how far it is."""

    done: float
    total: float | None
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Handled:
    """What became of the call: an outcome that the handler asked for, or else the result that would be stored."""

    outcome: Outcome | None
    result: JSON
    completed: bool
    """Whether the handler completed the job itself, in `job.transaction()`."""
    context: "FakeContext"

    @property
    def artifacts(self) -> dict[str, uuid.UUID]:
        """Return the ids of the artifacts that the handler saved, by name."""
        return self.context.saved

    @property
    def progress(self) -> list[Progress]:
        """Return everything that the handler reported."""
        return self.context.reported


class FakeCompletion:
    """The fake of the handler's transaction."""

    def __init__(self) -> None:
        self.completed = False
        self.result: JSON = None

    def complete(self, result: JSON = None) -> None:
        """Remember the result, if it can be stored."""
        storable(result)
        self.completed, self.result = True, result


@dataclass(slots=True, kw_only=True)
class FakeContext:
    """An attempt that exists in memory alone. `cancel_after`: how many calls of `check()` pass before it raises."""

    id: uuid.UUID = field(default_factory=uuid7)
    type: str
    attempt: int = 1
    fence: int = 1
    lock_token: int | None = None
    timeout: timedelta = timedelta(minutes=5)
    cancel_after: int | None = None
    logger: FilteringBoundLogger = field(default_factory=structlog.get_logger)
    deadline: datetime = field(init=False)
    reported: list[Progress] = field(default_factory=list)
    completion: FakeCompletion | None = None
    saved: dict[str, uuid.UUID] = field(default_factory=dict)
    """The artifacts, by their names as they are kept."""
    _ends: float = field(init=False)

    def __post_init__(self) -> None:
        self.deadline = clock.now() + self.timeout
        self._ends = clock.elapsed() + self.timeout.total_seconds()

    def check(self) -> None:
        """Raise `Cancelled` when `cancel_after` calls have passed, `DeadlineExceeded` when the time is over."""
        if self.cancel_after is not None:
            if self.cancel_after <= 0:
                raise Cancelled(self.id)
            self.cancel_after -= 1
        if clock.elapsed() > self._ends:
            raise DeadlineExceeded(self.id, timeout_seconds=self.timeout.total_seconds())

    def progress(self, done: float, total: float | None = None, note: str = "") -> None:
        """Remember it; unlike a worker, without leaving any out."""
        self.reported.append(Progress(done, total, note))

    @contextmanager
    def transaction(self) -> Iterator[FakeCompletion]:
        """Open a real transaction, with nothing to hold: there is no row."""
        with outermost():
            completion = FakeCompletion()
            yield completion
        if completion.completed:
            self.completion = completion

    def step_key(self, name: str) -> str:
        """Return what a worker's context would return for this job."""
        return f"{self.id}:{name}"

    def save_artifact(
        self, name: str, file: BinaryIO | bytes | Path, *, keep: timedelta | None = None, most_bytes: int | None = None,
    ) -> uuid.UUID:
        """Keep a file as a worker's context would, with nothing that could refuse it as stale: there is no fence."""
        artifact = artifacts.save(name, file, job_id=self.id, keep=keep, most_bytes=most_bytes)
        self.saved[artifact.name] = artifact.id
        return artifact.id


def run_handler(type_name: str, payload: object = None, **attempt: Any) -> Handled:
    """Call a type's handler as an attempt would, and say what became of it. What it raises, comes out.

    `attempt` are fields of `FakeContext`, such as `attempt=3` or `cancel_after=1`; the timeout is the type's. The
    payload and the result are checked as in a worker: `InvalidJob`, `UnstorableResult`.
    """
    job_type = registry.get(type_name)
    model = job_type.read(job_type.check({} if payload is None else payload))
    context = FakeContext(type=type_name, **{"timeout": job_type.timeout, **attempt})
    value = job_type.handler(context, model)
    if context.completion is not None:   # committed: what the handler returns afterwards changes nothing
        return Handled(outcome=None, result=context.completion.result, completed=True, context=context)
    if isinstance(value, Retry | Snooze | Cancel | Discard):
        return Handled(outcome=value, result=None, completed=False, context=context)
    storable(value)
    return Handled(outcome=None, result=value, completed=False, context=context)
