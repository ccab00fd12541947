"""A Celery request that carries claimed jobs: one as a task of its own type, or several short ones together."""

import functools
import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar

import structlog
from billiard.exceptions import TimeLimitExceeded
from celery.exceptions import TaskRevokedError
from celery.worker import state

from apps.jobs.engine.attempt import Attempt
from apps.jobs.engine.board import Word
from apps.jobs.engine.poolside import BOARD, TOGETHER, TRAYS, unpacked
from apps.jobs.engine.result import error_text
from apps.jobs.lifecycle import AttemptOutcome
from apps.jobs.transitions.fetch import Claim
from apps.jobs.transitions.settle import Ending
from core.ids import uuid7

if TYPE_CHECKING:
    from celery.worker.request import Request as Base

    from apps.jobs.engine.bookkeeper import Bookkeeper
else:
    Base = object

UNBEGUN_TICKS = 20   # of half a second: a child takes what it is given at once, unless it stands. Not by a clock: we may have stood
SLOW_SECONDS = 0.4   # a hand-over of several that takes longer than this lets go what it has not begun


log = structlog.get_logger(__name__)


class Message:
    """What stands in for the broker's message of a request that is made here, for rows that this worker has fetched."""

    body = "[[], {}, {}]"
    payload: ClassVar[tuple[Any, ...]] = ([], {}, {})
    content_type, content_encoding = "application/json", "utf-8"

    def __init__(self, claims: Sequence[Claim]) -> None:
        self.claims = claims
        first = claims[0]
        alone = len(claims) == 1
        self.task = first.type if alone else TOGETHER
        request_id = first.id if alone else str(uuid7())
        self.headers = {
            "lang": "py", "task": self.task, "id": request_id, "root_id": request_id,
            "parent_id": None, "argsrepr": "", "kwargsrepr": "", "origin": "latchwork", "retries": first.attempt - 1,
            "eta": None, "expires": None, "timelimit": [first.timeout_seconds if alone else None, None],
            "ignore_result": True,
        }
        self.properties = {"correlation_id": request_id, "reply_to": "", "priority": first.priority}
        self.delivery_info = {"exchange": "", "routing_key": first.queue}

    def done(self, *_: Any, **__: Any) -> None:
        """Acknowledge nothing: there is no message."""


class JobRequest(Base):
    """Mixed into the request class that Celery makes for a job type's task: one job."""

    __slots__ = ()
    book: "Bookkeeper"
    handle: Any = None           # the pool's result object
    since = 0.0                  # when it was handed to the pool, on the monotonic clock
    gone = False                 # nothing of it runs any more
    unbegun = 0                  # ticks at which a child had been given it and had not taken it

    def __init__(self, message: Message, **options: Any) -> None:
        super().__init__(message, **options)
        self.attempts = [Attempt(claim, self) for claim in message.claims]
        self._load()

    def _load(self) -> None:
        self._request_dict["job"] = tuple(self.attempts[0].assignment())

    @property
    def begun(self) -> bool:
        """Whether a child has it."""
        return self.time_start is not None

    @property
    def over(self) -> bool:
        """Whether everything in it was settled or lost."""
        return all(attempt.over for attempt in self.attempts)

    def begun_attempt(self, attempt: Attempt) -> bool:  # noqa: ARG002  one job: it has begun when the request has
        """Return whether the handler of one of its jobs was begun."""
        return self.begun

    def kill(self, attempt: Attempt) -> None:  # noqa: ARG002  one job
        """End the process that runs one of its jobs."""
        self.terminate(self.book.pool, signal.SIGKILL)

    def settled(self, attempt: Attempt, ending: Ending) -> None:
        """Hear that one of its jobs was settled: Celery tells the others of one job."""

    def is_left(self) -> bool:
        """Return whether a thread still runs what was settled without it."""
        return self.over and any(attempt.word is not Word.GO_ON for attempt in self.attempts)

    def end(self, outcome: AttemptOutcome, *, error: str | None = None) -> None:
        """End what is not over."""
        for attempt in self.attempts:
            attempt.end(outcome, error=error)

    def stop(self) -> None:
        """End what is not over, because the worker stops: begun jobs as stopped, the others are given back."""
        for attempt in self.attempts:
            outcome = AttemptOutcome.STOPPED if self.begun_attempt(attempt) else AttemptOutcome.RELEASED
            attempt.end(outcome, error=error_text("Stopped", "its worker was stopped before it ended"))

    def recall(self) -> list[Claim]:
        """Take back what is not begun; of one job that a child has there is nothing."""
        return []

    def tells(self) -> bool:
        """Return whether something is to be heard of it before it returns: of one job nothing."""
        return False

    def sweep(self) -> None:
        """Look at what has ended meanwhile: of one job nothing, before it returns."""

    def returned(self) -> None:
        """Note that nothing of this request runs any more; once, whoever else finds it out."""
        if self.gone:
            return
        self.gone = True
        self._clear()
        self.book.freed(self)
        # It was part of two circles: with all its rows it would wait for a collection, and many with it.
        self.attempts, self.handle = [], None

    def _clear(self) -> None:
        for attempt in self.attempts:
            attempt.close()

    def execute_using_pool(self, pool: Any, **options: Any) -> Any:
        if self.over or not BOARD.trusted():   # lost or given back while it waited for a slot
            self.end(AttemptOutcome.RELEASED)
            state.task_ready(self)
            self.returned()
            raise TaskRevokedError(self.id)
        try:
            self.handle = super().execute_using_pool(pool, **options)
        except TaskRevokedError:
            self._revoke()
            self.returned()
            raise
        return self.handle

    def on_success(self, failed__retval__runtime: Any, **options: Any) -> Any:
        failed, (value, packed), runtime = failed__retval__runtime
        told = unpacked(packed) if packed else None
        if failed:
            return self._failed(value, told, return_ok=True)
        self._told(told)
        try:
            return super().on_success((failed, value, runtime), **options)
        finally:
            self.returned()

    def _told(self, ending: Ending | None) -> None:
        if ending is not None:
            for attempt in self.attempts:
                attempt.settle(ending)

    def on_failure(self, exc_info: Any, *args: Any, **options: Any) -> Any:
        return self._failed(exc_info, None, *args, **options)

    def _failed(self, exc_info: Any, told: Any, *args: Any, **options: Any) -> None:
        exc = getattr(exc_info.exception, "exc", exc_info.exception)
        if told is not None:
            self._told(told)
        else:
            self._broke(exc)
        try:
            if isinstance(exc, (MemoryError, SystemExit, KeyboardInterrupt)):
                state.task_ready(self)   # Celery would raise it again here and end the whole worker
            else:
                super().on_failure(exc_info, *args, **options)
        finally:
            self.returned()

    def _broke(self, exc: BaseException) -> None:
        for attempt in self.attempts:   # none where it was given up before
            if isinstance(exc, TimeLimitExceeded) and not attempt.over:
                attempt.time_out()
            attempt.fail_with(exc)

    def on_timeout(self, soft: bool, timeout: float) -> None:  # noqa: FBT001  Celery's signature
        if not soft and not self.over:
            self.attempts[0].time_out()
        super().on_timeout(soft, timeout)

    def enforce_beginning(self) -> None:
        """End a child that was given this and takes nothing: no time limit counts before it does, and Celery finds another."""
        handle = self.handle
        if self.begun or handle is None or handle._write_to is None:  # noqa: SLF001  contract test
            self.unbegun = 0
            return
        self.unbegun += 1
        if self.unbegun > UNBEGUN_TICKS:
            log.warning("worker.child_takes_nothing", pid=handle._write_to.pid, jobs=len(self.attempts))  # noqa: SLF001  as above
            self.unbegun = 0
            with suppress(ProcessLookupError):
                os.kill(handle._write_to.pid, signal.SIGKILL)  # noqa: SLF001  as above

    def enforce_deadline(self) -> None:
        """End what runs beyond its timeout, where Celery does not: in threads, which may end it meanwhile."""
        for attempt in self.attempts:
            if not attempt.over and self.begun and time.monotonic() - self.since > attempt.claim.timeout_seconds:
                attempt.time_out()

    def _announce_revoked(self, *args: Any) -> None:
        """Follow a revoke that somebody typed in Flower: the row is what decides, so it is cancelled there."""
        super()._announce_revoked(*args)  # type: ignore[misc]  # Celery's stubs leave it out
        if all(attempt.word == Word.GO_ON for attempt in self.attempts):
            self._revoke()
        if self.handle is None:
            self.returned()

    def _revoke(self) -> None:
        self.end(AttemptOutcome.CANCELLED, error=error_text("Revoked", "revoked through Celery"))


class TogetherRequest(JobRequest):
    """Several short jobs of one type in one pool task. Each is settled by itself, as soon as the tray tells its end.

    All of it happens in the loop thread, also in a pool of threads: what is given back goes into the stock.
    """

    __slots__ = ()
    seen = 0   # jobs whose ends were read from the tray
    kept = 0   # jobs of the hand-over that were not recalled

    def _load(self) -> None:
        self.tray_number = TRAYS.get()
        self.tray = TRAYS[self.tray_number]
        self._lay()

    def _lay(self) -> None:
        self.kept = len(self.attempts)
        self.tray.lay(self.kept)
        self._request_dict["jobs"] = self.tray_number, [tuple(attempt.assignment()) for attempt in self.attempts]

    def execute_using_pool(self, pool: Any, **options: Any) -> Any:
        kept = [attempt for attempt in self.attempts if not attempt.over]
        if kept and len(kept) < len(self.attempts):   # some were given back or lost while it waited for a slot
            for attempt in self.attempts:
                if attempt.over:
                    attempt.close()
            self.attempts = kept
            self._lay()
        return super().execute_using_pool(pool, **options)

    def begun_attempt(self, attempt: Attempt) -> bool:
        return self.attempts.index(attempt) < self.tray.begun()

    def is_running(self, attempt: Attempt) -> bool:
        """Return whether it is the one that runs: the others are skipped by the child, which reads the board."""
        running = self.tray.running()
        return running is not None and self.attempts[running[0]] is attempt

    def kill(self, attempt: Attempt) -> None:
        """End the process, if this is what it runs: it begins no other job in the meantime."""
        if self.is_running(attempt):
            self.book.restock(self.recall())
        if self.is_running(attempt):
            super().kill(attempt)

    def tells(self) -> bool:
        return self.seen < self.kept - 1   # of the last one its return tells

    def sweep(self) -> None:
        """Settle what the child has told; let the others go when it takes longer than it should."""
        self._settle_ended()
        if self.kept == len(self.attempts) and self.tray.open_seconds() > SLOW_SECONDS:
            self.book.give_back_claims(self.recall())

    def _settle_ended(self) -> None:
        if self.gone:   # and its tray is another's
            return
        for packed in self.tray.take(self.seen):
            self._settle_next(unpacked(packed))

    def _settle_next(self, ending: Ending) -> None:
        self.seen += 1
        self.attempts[self.seen - 1].settle(ending)

    def recall(self) -> list[Claim]:
        """Take back what the child has not begun; it will begin nothing more."""
        self.kept = min(self.kept, self.tray.recall())
        return self._unbegun(self.kept)

    def _unbegun(self, after: int) -> list[Claim]:
        claims = []
        for attempt in self.attempts[after:]:
            if not attempt.over:
                attempt.over = True
                claims.append(attempt.claim)
        return claims

    def stop(self) -> None:
        """End what is not over, because the worker stops: what has ended as it ended, and only one job was running."""
        self._settle_ended()
        self.book.restock(self.recall())
        super().stop()

    def on_success(self, failed__retval__runtime: Any, **options: Any) -> Any:
        if not self.book.threads:
            return super().on_success(failed__retval__runtime, **options)
        self.book.hub.call_soon(super().on_success, failed__retval__runtime)
        return None

    def _told(self, ending: Ending | None) -> None:
        """Take everything: the child has returned. What it did not begin goes back into the stock."""
        self._settle_ended()
        if ending is not None:   # the one for which the tray had no room
            self._settle_next(ending)
        self.book.restock(self._unbegun(self.seen))

    def _broke(self, exc: BaseException) -> None:
        """Charge the job that ran when the child died, and no other."""
        self._settle_ended()
        begun = self.tray.begun()
        for attempt in self.attempts[self.seen:begun]:
            attempt.fail_with(exc)
        self.book.restock(self._unbegun(max(self.seen, begun)))

    def _revoke(self) -> None:
        """Cancel what runs. Nobody has named the jobs that have ended or were not begun."""
        self._settle_ended()
        self.book.restock(self.recall())
        super()._revoke()

    def on_timeout(self, soft: bool, timeout: float) -> None:  # noqa: FBT001  Celery's signature
        super(JobRequest, self).on_timeout(soft, timeout)

    def enforce_deadline(self) -> None:
        """End the job that runs beyond its timeout, and the child with it: the pool knows only the whole."""
        running = self.tray.running()
        if running is None:
            return
        attempt = self.attempts[running[0]]
        if not attempt.over and running[1] > attempt.claim.timeout_seconds:
            attempt.time_out()
            self.book.kill(attempt)

    def _clear(self) -> None:
        if self.seen:   # ends are settled in their order: with the last one all are
            last, book = self.attempts[self.seen - 1].claim, self.book
            TRAYS.put(self.tray_number, needed=functools.partial(book.holds, last.id, last.fence))
        else:
            TRAYS.put(self.tray_number, needed=bool)
        super()._clear()

    def settled(self, attempt: Attempt, ending: Ending) -> None:
        """Tell Flower of each job: Celery tells only of the hand-over."""
        eventer = self._eventer
        if eventer and eventer.enabled and ending.outcome is not AttemptOutcome.RELEASED:
            job_id, name = attempt.claim.id, attempt.claim.type
            eventer.send("task-received", uuid=job_id, name=name, args="", kwargs="", root_id=job_id, retries=0)
            eventer.send("task-started", uuid=job_id)
            if ending.outcome is AttemptOutcome.COMPLETED:
                eventer.send("task-succeeded", uuid=job_id, result="None", runtime=ending.seconds)
            else:
                eventer.send("task-failed", uuid=job_id, exception=ending.outcome.value, traceback="")
