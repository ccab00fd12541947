"""One attempt as the main process sees it, from the hand-over on: it ends once, however it ends."""

from typing import TYPE_CHECKING

from billiard.exceptions import Terminated, WorkerLostError

from apps.jobs import registry
from apps.jobs.engine.backoff import delay_after
from apps.jobs.engine.board import Word
from apps.jobs.engine.context import Assignment
from apps.jobs.engine.poolside import BOARD
from apps.jobs.engine.result import error_text
from apps.jobs.lifecycle import AttemptOutcome
from apps.jobs.transitions.fetch import Claim
from apps.jobs.transitions.settle import Ending

if TYPE_CHECKING:
    from apps.jobs.engine.request import JobRequest


class Attempt:
    """A claim in somebody's hands. `over` once it was settled or lost: whoever comes second changes nothing."""

    __slots__ = ("claim", "over", "place", "request", "word")

    def __init__(self, claim: Claim, request: "JobRequest") -> None:
        self.claim, self.request = claim, request
        self.place = BOARD.take()
        self.word = Word.GO_ON
        self.over = False

    def assignment(self) -> Assignment:
        """Return what the pool gets."""
        claim, keys = self.claim, self.request.book.keys
        return Assignment(
            id=claim.id, fence=claim.fence, attempt=claim.attempt, failures=claim.failures, type=claim.type,
            payload=claim.payload, timeout_seconds=claim.timeout_seconds, request_id=claim.request_id, place=self.place,
            not_before=claim.not_before, lock_token=claim.lock_token, lock_until=keys.until(claim) if keys is not None else None,
            life=claim.life,
        )

    def tell(self, word: Word) -> None:
        """Say something that `job.check()` will hear."""
        self.word = word
        if self.place >= 0:
            BOARD.say(self.place, word)

    def end(self, outcome: AttemptOutcome, *, error: str | None = None, delay: float | None = None) -> None:
        """End it from the main process."""
        self.settle(Ending(
            id=self.claim.id, fence=self.claim.fence, outcome=outcome, error=error, delay_seconds=delay,
        ))

    def settle(self, ending: Ending) -> None:
        """Settle it, unless it is over."""
        if not self.over:
            self.over = True
            self.request.book.settle(self, ending)
            self.request.settled(self, ending)

    def fail_with(self, exc: BaseException) -> None:
        """End it by what Celery's main process says of the pool task that ran it."""
        if self.over:
            return
        if self.word == Word.CANCEL:
            why = "cancelled on request; its process was ended after the grace"
            self.end(AttemptOutcome.CANCELLED, error=error_text("Cancelled", why))
        elif self.request._already_cancelled:  # noqa: SLF001  Celery's; a cold stop
            self.end(AttemptOutcome.STOPPED, error=error_text("Stopped", "its worker was stopped"))
        elif isinstance(exc, Terminated) or self.request._already_revoked:  # noqa: SLF001  Celery's
            why = "its process was ended through Celery"
            self.end(AttemptOutcome.CANCELLED, error=error_text("Revoked", why))
        elif isinstance(exc, (WorkerLostError, SystemExit, KeyboardInterrupt)):
            self.end(AttemptOutcome.WORKER_LOST, error=error_text("WorkerLost", f"the process that ran it died: {exc}"))
        else:
            self.end(
                AttemptOutcome.FAILED, error=error_text(type(exc).__name__, str(exc)), delay=self._delay(exc),
            )

    def time_out(self) -> None:
        """End it at its deadline. A process is killed; a thread goes on, and is not believed."""
        error = TimeoutError(f"it ran longer than its timeout of {self.claim.timeout_seconds:g} s")
        self.tell(Word.TIMED_OUT)
        self.end(AttemptOutcome.TIMED_OUT, error=error_text("TimedOut", str(error)), delay=self._delay(error))

    def close(self) -> None:
        """Return its place on the board, once nothing of it runs any more."""
        if self.place >= 0:
            BOARD.give(self.place)
            self.place = -1

    def _delay(self, error: BaseException) -> float | None:
        return delay_after(registry.find(self.claim.type), failures=self.claim.failures + 1, error=error)
