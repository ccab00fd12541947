"""A Celery request that is a claimed job: each way in which it can end becomes one ending under its fence, once."""

from typing import TYPE_CHECKING, Any, ClassVar

from billiard.exceptions import Terminated, TimeLimitExceeded, WorkerLostError
from celery.exceptions import TaskRevokedError
from celery.worker import state

from apps.jobs import registry
from apps.jobs.engine import poolside
from apps.jobs.engine.backoff import delay_after
from apps.jobs.engine.board import Word
from apps.jobs.engine.context import Assignment
from apps.jobs.engine.result import error_text
from apps.jobs.lifecycle import AttemptOutcome
from apps.jobs.transitions.fetch import Claim
from apps.jobs.transitions.settle import Ending

if TYPE_CHECKING:
    from celery.worker.request import Request as Base

    from apps.jobs.engine.bookkeeper import Bookkeeper
else:
    Base = object


class Message:
    """What stands in for the broker's message of a request that is made here, for a row that this worker has fetched."""

    body = "[[], {}, {}]"
    payload: ClassVar[tuple[Any, ...]] = ([], {}, {})
    content_type, content_encoding = "application/json", "utf-8"

    def __init__(self, claim: Claim) -> None:
        self.claim = claim
        self.headers = {
            "lang": "py", "task": claim.type, "id": claim.id, "root_id": claim.id, "parent_id": None, "argsrepr": "",
            "kwargsrepr": "", "origin": "latchwork", "retries": claim.attempt - 1, "eta": None, "expires": None,
            "timelimit": [claim.timeout_seconds, None], "ignore_result": True,
        }
        self.properties = {"correlation_id": claim.id, "reply_to": "", "priority": claim.priority}
        self.delivery_info = {"exchange": "", "routing_key": claim.queue}

    def done(self, *_: Any, **__: Any) -> None:
        """Acknowledge nothing: there is no message."""


class JobRequest(Base):
    """Mixed into the request class that Celery makes for a task."""

    __slots__ = ()
    book: "Bookkeeper"
    claim: Claim | None = None   # None: over, nothing may be settled any more
    place = -1                   # on the board
    handle: Any = None           # the pool's result object
    since = 0.0                  # when it was handed to the pool, on the monotonic clock
    word = Word.GO_ON            # what it was told

    def __init__(self, message: Message, **options: Any) -> None:
        super().__init__(message, **options)
        claim = message.claim
        self.claim, self.place = claim, poolside.BOARD.take()
        self._request_dict["job"] = tuple(Assignment(
            id=claim.id, fence=claim.fence, attempt=claim.attempt, failures=claim.failures, type=claim.type,
            payload=claim.payload, timeout_seconds=claim.timeout_seconds, request_id=claim.request_id,
            place=self.place,
        ))

    @property
    def begun(self) -> bool:
        """Whether a child has it."""
        return self.time_start is not None

    def tell(self, word: Word) -> None:
        """Say something that `job.check()` will hear."""
        self.word = word
        if self.place >= 0:
            poolside.BOARD.say(self.place, word)

    def end(self, outcome: AttemptOutcome, *, error: str | None = None, delay: float | None = None) -> None:
        """End the attempt from the main process."""
        if self.claim is not None:
            self.settle(Ending(
                id=self.claim.id, fence=self.claim.fence, outcome=outcome, error=error, delay_seconds=delay,
            ))

    def settle(self, ending: Ending | None) -> None:
        """Settle the attempt, once: whoever comes second finds no claim."""
        claim, self.claim = self.claim, None
        if claim is not None and ending is not None:
            self.book.settle(self, claim, ending)

    def drop(self) -> None:
        """Forget the claim, because it is no longer ours to settle."""
        self.claim = None

    def returned(self) -> None:
        """Note that nothing of this request runs any more."""
        if self.place >= 0:
            poolside.BOARD.give(self.place)
            self.place = -1
        self.book.freed(self)

    def execute_using_pool(self, pool: Any, **options: Any) -> Any:
        if self.claim is None or not poolside.BOARD.trusted():   # lost or given back while it waited for a slot
            self.end(AttemptOutcome.RELEASED)
            state.task_ready(self)
            self.returned()
            raise TaskRevokedError(self.id)
        try:
            self.handle = super().execute_using_pool(pool, **options)
        except TaskRevokedError:
            self.end(AttemptOutcome.CANCELLED, error=error_text("Revoked", "revoked through Celery"))
            self.returned()
            raise
        return self.handle

    def on_success(self, failed__retval__runtime: Any, **options: Any) -> Any:
        failed, (value, packed), runtime = failed__retval__runtime
        ending = poolside.unpacked(packed) if packed else None
        if failed:
            return self._failed(value, ending, return_ok=True)
        self.settle(ending)
        try:
            return super().on_success((failed, value, runtime), **options)
        finally:
            self.returned()

    def on_failure(self, exc_info: Any, *args: Any, **options: Any) -> Any:
        return self._failed(exc_info, None, *args, **options)

    def _failed(self, exc_info: Any, ending: Ending | None, *args: Any, **options: Any) -> None:
        exc = getattr(exc_info.exception, "exc", exc_info.exception)
        if isinstance(exc, TimeLimitExceeded) and self.claim is not None and ending is None:
            self.time_out(self.claim.timeout_seconds)
        self.settle(ending or self._ending_of(exc))
        try:
            if isinstance(exc, (MemoryError, SystemExit, KeyboardInterrupt)):
                state.task_ready(self)   # Celery would raise it again here and end the whole worker
            else:
                super().on_failure(exc_info, *args, **options)
        finally:
            self.returned()

    def on_timeout(self, soft: bool, timeout: float) -> None:  # noqa: FBT001  Celery's signature
        if not soft:
            self.time_out(timeout)
        super().on_timeout(soft, timeout)

    def time_out(self, timeout: float) -> None:
        """End the attempt at its deadline. A process is killed by the pool; a thread goes on, and is not believed."""
        if self.claim is None:
            return
        error = TimeoutError(f"it ran longer than its timeout of {timeout:g} s")
        delay = delay_after(registry.find(self.claim.type), failures=self.claim.failures + 1, error=error)
        self.tell(Word.TIMED_OUT)
        self.end(AttemptOutcome.TIMED_OUT, error=error_text("TimedOut", str(error)), delay=delay)

    def _announce_revoked(self, *args: Any) -> None:
        """Follow a revoke that somebody typed in Flower: the row is what decides, so it is cancelled there."""
        super()._announce_revoked(*args)  # type: ignore[misc]  # Celery's stubs leave it out
        if self.claim is not None and self.word == Word.GO_ON:
            self.end(AttemptOutcome.CANCELLED, error=error_text("Revoked", "revoked through Celery"))
        if self.handle is None:
            self.returned()

    def _ending_of(self, exc: BaseException) -> Ending | None:
        if self.claim is None:
            return None
        outcome, error = AttemptOutcome.WORKER_LOST, error_text("WorkerLost", f"the process that ran it died: {exc}")
        if self.word == Word.CANCEL:
            outcome = AttemptOutcome.CANCELLED
            error = error_text("Cancelled", "cancelled on request; its process was ended after the grace")
        elif self._already_cancelled:
            outcome, error = AttemptOutcome.STOPPED, error_text("Stopped", "its worker was stopped")
        elif isinstance(exc, Terminated) or self._already_revoked:
            outcome, error = AttemptOutcome.CANCELLED, error_text("Revoked", "its process was ended through Celery")
        elif not isinstance(exc, (WorkerLostError, SystemExit, KeyboardInterrupt)):
            outcome, error = AttemptOutcome.FAILED, error_text(type(exc).__name__, str(exc))
            delay = delay_after(registry.find(self.claim.type), failures=self.claim.failures + 1, error=exc)
            return Ending(
                id=self.claim.id, fence=self.claim.fence, outcome=outcome, error=error, delay_seconds=delay,
            )
        return Ending(id=self.claim.id, fence=self.claim.fence, outcome=outcome, error=error)
