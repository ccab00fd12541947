"""How Celery's consumer treats our tasks: a ticket wakes the bookkeeper, a job becomes a `JobRequest`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import structlog
from celery import Celery
from celery.worker import request as worker_request
from celery.worker import strategy

from apps.jobs.engine import poolside
from apps.jobs.engine.request import JobRequest, TogetherRequest

log = structlog.get_logger(__name__)
Handler = Callable[..., Any]


def job_strategy(task: Any, app: Celery, consumer: Any, **options: Any) -> Handler:
    """Return what becomes of messages of a job type."""
    return _carrying(JobRequest, poolside.execute, task, app, consumer, **options)


def together_strategy(task: Any, app: Celery, consumer: Any, **options: Any) -> Handler:
    """Return what becomes of messages of the task that carries several jobs."""
    return _carrying(TogetherRequest, poolside.execute_together, task, app, consumer, **options)


def _carrying(
    kind: type[JobRequest], trace: Callable[..., Any], task: Any, app: Celery, consumer: Any, **options: Any,
) -> Handler:
    """Keep Celery's handler of a task, with requests of our kind, and refuse its messages.

    Celery's own handler is kept for the requests that the bookkeeper makes from claimed rows: revoke, events and time
    limits are the ordinary ones. `create_request_cls` overwrites methods of a custom `Task.Request`, so its result is
    subclassed, here only. A message that names a job type was not sent by us: the row is what starts a job.

    Celery's rate limits apply to no job, whoever sets one: the bucket that a request would wait in is nothing that the
    bookkeeper hears of. A job that was cancelled there, and its row given back, would begin all the same.
    """
    book = app.latchwork

    def create(base: type, *args: Any, **kwargs: Any) -> type:
        celerys = worker_request.create_request_cls(base, *args, **{**kwargs, "trace": trace})
        return type(kind.__name__, (kind, celerys), {"book": book})

    with _replaced(strategy, "create_request_cls", create), _replaced(consumer, "disable_rate_limits", True):
        book.handlers[task.name] = strategy.default(task, app, consumer, **options)

    def refuse(message: Any, *_: Any) -> None:
        log.warning("message.refused", task=task.name, why="jobs are enqueued as rows, through services or the API")
        message.ack_log_error(log, consumer.connection_errors)

    return refuse


@contextmanager
def _replaced(owner: Any, name: str, value: object) -> Iterator[None]:
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


def ticket_strategy(_task: Any, app: Celery, consumer: Any, **_: Any) -> Handler:
    """Return what becomes of a ticket: the queue is looked at, and the ticket is acknowledged."""
    book = app.latchwork

    def receive(message: Any, *_: Any) -> None:
        book.rung(message.delivery_info["routing_key"])   # first: the database works while the broker is told
        message.ack_log_error(log, consumer.connection_errors)

    return receive
