"""Runs one attempt, where the handler runs: in a child process, or in a thread of the pool. Never touches the ledger."""

import logging
import time
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pydantic
import structlog
from billiard.common import terminate_handler_fired

from apps.jobs import registry
from apps.jobs.engine.backoff import delay_after
from apps.jobs.engine.board import Board
from apps.jobs.engine.context import Assignment, AttemptContext
from apps.jobs.engine.result import described, error_text, storable
from apps.jobs.errors import Cancelled, DeadlineExceeded, InvalidPayload, LeaseLost, UnstorableResult
from apps.jobs.lifecycle import AttemptOutcome
from apps.jobs.outcomes import Cancel, Discard, Retry, Snooze
from apps.jobs.registry import JobType
from apps.jobs.transitions.settle import Ending
from core import clock

log = structlog.get_logger(__name__)
HEARD = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Report:
    """What became of an attempt, and the exception that Celery shall see, if any."""

    ending: Ending
    error: BaseException | None = None


def run(work: Assignment, board: Board) -> Report:
    """Run an attempt to its end, whatever that is. Raises only when the process itself is being ended."""
    if work.not_before is not None:
        time.sleep(max(0.0, work.not_before - time.monotonic()))
    job_type = registry.get(work.type)
    context = AttemptContext.of(work, board)
    bound: dict[str, Any] = {"job_id": work.id, "type": work.type, "attempt": work.attempt, "fence": work.fence}
    if work.lock_token is not None:
        bound["lock_token"] = work.lock_token
    if work.request_id:
        bound["request_id"] = work.request_id
    since = time.perf_counter()
    tokens = structlog.contextvars.bind_contextvars(**bound)
    try:
        report = _attempted(work, job_type, context)
        context.close()
        if context.completed:   # its own transaction's commit decided; what the handler did afterwards changes nothing
            report = Report(_ending(work, AttemptOutcome.COMPLETED, confirmed=True))
        seconds = time.perf_counter() - since
        if HEARD.isEnabledFor(logging.INFO):   # what nobody hears costs as much as a short handler
            log.info("job.settled", outcome=report.ending.outcome.value, seconds=round(seconds, 6))
    finally:
        structlog.contextvars.reset_contextvars(**tokens)
    return Report(report.ending._replace(seconds=seconds), report.error)


def _attempted(work: Assignment, job_type: JobType, context: AttemptContext) -> Report:
    try:
        return _finished(work, job_type, context)
    except SystemExit as exc:
        if terminate_handler_fired():   # the process is being ended, not the handler's own wish
            raise
        return _raised(work, job_type, RuntimeError(f"the handler called sys.exit({exc.code!r})"))
    except Exception as exc:  # noqa: BLE001  a handler may raise anything, and its job must still end
        return _raised(work, job_type, exc)
    except BaseException as exc:  # noqa: BLE001  as above; as itself it would end the process, and the job with it
        return replace(_raised(work, job_type, exc), error=RuntimeError(f"the handler raised {type(exc).__name__}"))


def _finished(work: Assignment, job_type: JobType, context: AttemptContext) -> Report:
    context.board.begin(work.place, work.fence)   # first: to read a payload may be what kills the process
    try:
        payload = job_type.read(work.payload)
    except (pydantic.ValidationError, InvalidPayload) as exc:
        return Report(_ending(work, AttemptOutcome.DISCARDED, error=described(exc)), exc)
    if not context.board.may_begin(work.place, work.life):   # the last moment: a thawed process starts nothing stale
        return Report(_ending(work, AttemptOutcome.RELEASED))
    if work.lock_until is not None and clock.elapsed() >= work.lock_until:   # as above; whose renewal may be known to main only
        return Report(_ending(work, AttemptOutcome.RELEASED))
    return _returned(work, job_type, job_type.handler(context, payload))


def _returned(work: Assignment, job_type: JobType, value: object) -> Report:  # noqa: PLR0911  one clause an outcome
    match value:
        case Retry(after=None, reason=reason, error=error):
            delay = delay_after(job_type, failures=work.failures + 1)
            return Report(_ending(work, AttemptOutcome.FAILED, error=error_text(error, reason), delay=delay))
        case Retry(after=timedelta() as after, reason=reason, error=error):
            delay = max(0.0, after.total_seconds())
            return Report(_ending(work, AttemptOutcome.FAILED, error=error_text(error, reason), delay=delay))
        case Snooze(delay=timedelta() as delay):
            return Report(_ending(work, AttemptOutcome.SNOOZED, delay=max(0.0, delay.total_seconds())))
        case Snooze(until=until):
            return Report(Ending(id=work.id, fence=work.fence, outcome=AttemptOutcome.SNOOZED, until=until))
        case Cancel(reason=reason):
            return Report(_ending(work, AttemptOutcome.CANCELLED, error=error_text("Cancel", reason)))
        case Discard(reason=reason, error=error):
            return Report(_ending(work, AttemptOutcome.DISCARDED, error=error_text(error, reason)))
        case _:
            return Report(Ending(
                id=work.id, fence=work.fence, outcome=AttemptOutcome.COMPLETED,
                result=storable(value) if job_type.result else None,
            ))


def _raised(work: Assignment, job_type: JobType, exc: BaseException) -> Report:
    error = described(exc)
    match exc:
        case Cancelled():
            return Report(_ending(work, AttemptOutcome.CANCELLED, error=error))
        case LeaseLost():
            return Report(_ending(work, AttemptOutcome.STOPPED, error=error), exc)
        case UnstorableResult():
            return Report(_ending(work, AttemptOutcome.FAILED, error=error), exc)
        case DeadlineExceeded():
            delay = delay_after(job_type, failures=work.failures + 1, error=exc)
            return Report(_ending(work, AttemptOutcome.TIMED_OUT, error=error, delay=delay), exc)
        case _:
            delay = delay_after(job_type, failures=work.failures + 1, error=exc)
            return Report(_ending(work, AttemptOutcome.FAILED, error=error, delay=delay), exc)


def _ending(
    work: Assignment, outcome: AttemptOutcome, *, error: str | None = None, delay: float | None = None,
    confirmed: bool = False,
) -> Ending:
    return Ending(
        id=work.id, fence=work.fence, outcome=outcome, error=error, delay_seconds=delay, confirmed=confirmed,
    )
