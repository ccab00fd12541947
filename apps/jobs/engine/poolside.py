"""What the pool executes for a job: Celery's own tracing around our runner.

Signals, the task stack, time limits and events are Celery's; the arguments come from the row, not from a message, and
what became of the attempt travels back as data beside what Celery's main process expects.
"""

import time
from typing import Any

import structlog
from billiard.einfo import ExceptionInfo
from celery import Celery
from celery.app import trace
from django.db import connections

from apps.jobs import registry
from apps.jobs.engine import runner
from apps.jobs.engine.board import Board, Word
from apps.jobs.engine.context import Assignment
from apps.jobs.engine.tray import Trays
from apps.jobs.lifecycle import AttemptOutcome
from apps.jobs.transitions.settle import Ending

log = structlog.get_logger(__name__)

TOGETHER = "jobs.together"
BOARD, TRAYS = Board(), Trays()   # made at import, so before the pool forks
_OUTCOME = Ending._fields.index("outcome")
_OUTCOMES = {outcome.value: outcome for outcome in AttemptOutcome}


def execute(name: str, job_id: str, request: dict[str, Any], *_body: Any, **_options: Any) -> tuple[bool, Any, float]:
    """Run the task of a job in the pool; in place of `celery.app.trace.fast_trace_task`.

    The last element of `report` is the attempt's ending, which travels packed; None when the process was told to end
    before there was one.
    """
    tasks, _accept, hostname = trace._localized  # noqa: SLF001  pinned by a contract test
    report: list[Ending] = []
    context = {**request, "args": (), "kwargs": {}, "hostname": hostname, "is_eager": False, "report": report}
    value, failed, runtime, text = tasks[name].__trace__(job_id, (), {}, context)
    _tidy_connections()
    ending = _packed(report[-1]) if report else None
    if failed and not isinstance(value, ExceptionInfo):   # Celery's Ignore, Reject and Retry are values here
        failed, text = False, repr(value)
    return bool(failed), (value if failed else text, ending), runtime


def execute_together(
    _name: str, _id: str, request: dict[str, Any], *_body: Any, **_options: Any,
) -> tuple[bool, Any, float]:
    """Run several short jobs one after the other, telling the tray of each; Celery's tracing is for the whole.

    What is returned is the ending for which the tray had no room; then the jobs after it were not begun.
    """
    since = time.monotonic()
    number, work = request["jobs"]
    tray = TRAYS[number]
    tray.open()
    for index, assignment in enumerate(Assignment(*values) for values in work):
        if not tray.begin(index):
            break
        if BOARD.read(assignment.place) is not Word.GO_ON:   # after the beginning: who says it later sees that it runs
            tray.leave(index)
            break
        report = runner.run(assignment, BOARD)
        _tidy_connections()
        if report.error is not None:   # Celery's tracing logs it for one job
            log.error("job.raised", job_id=assignment.id, type=assignment.type, fence=assignment.fence, exc_info=report.error)
        packed = _packed(report.ending)
        if not tray.end(packed):
            return False, ("", packed), time.monotonic() - since
    return False, ("", None), time.monotonic() - since


def _packed(ending: Ending) -> tuple[Any, ...]:
    """Return an ending as plain values: a class and an enumeration cost ten times as much in the pipe, at both ends."""
    return (*ending[:_OUTCOME], ending.outcome.value, *ending[_OUTCOME + 1:])


def unpacked(values: tuple[Any, ...]) -> Ending:
    """Return the ending that the pool has sent."""
    return Ending._make((*values[:_OUTCOME], _OUTCOMES[values[_OUTCOME]], *values[_OUTCOME + 1:]))


def _tidy_connections() -> None:
    """Leave no transaction open: it would hold the job's row, and with it the settle. Drop what is broken."""
    for connection in connections.all(initialized_only=True):
        if connection.in_atomic_block:   # closed in a block it never opens again: the next job gets another wrapper
            connection.close()
            del connections[connection.alias]
        elif connection.connection is not None and not connection.get_autocommit():
            connection.close()
        else:
            connection.close_if_unusable_or_obsolete()


def _run(task: Any) -> None:
    report = runner.run(Assignment(*task.request.job), BOARD)
    task.request.report.append(report.ending)
    if report.error is not None:
        raise report.error


def register(app: Celery) -> None:
    """Register each job type as a Celery task of its own name, and the ticket."""
    for job_type in registry.all_types():
        if job_type.name not in app.tasks:
            app.task(
                name=job_type.name, bind=True, Strategy="apps.jobs.engine.strategy:job_strategy", acks_late=False,
                ignore_result=True, typing=False,
            )(_run)
    app.task(
        name=TOGETHER, Strategy="apps.jobs.engine.strategy:together_strategy", acks_late=False, ignore_result=True,
        send_events=False, typing=False,   # each job of it has events of its own
    )(_never)


def _never() -> None:
    """Stand for the hand-over of several among Celery's tasks; the pool runs `execute_together`."""
