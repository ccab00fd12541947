"""Logs of every process: one event a line, as JSON, with the same names whether structlog or the library wrote it."""

import sys
from typing import Any

import structlog
from structlog.typing import EventDict, Processor

TRACING = "celery.app.trace"


def configure(*, level: str, form: str) -> dict[str, Any]:
    """Set structlog up and return the dictionary for Django's `LOGGING`; `form` is "json" or "console"."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        _told_once,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    last: list[Processor] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if form == "json":
        last += [
            structlog.processors.format_exc_info,   # the traceback becomes a value, so that it stays on the line
            structlog.processors.JSONRenderer(sort_keys=False, ensure_ascii=True, default=str),
        ]
    else:
        last.append(structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback,
        ))
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "event": {
                "()": structlog.stdlib.ProcessorFormatter,
                "processors": last,
                "foreign_pre_chain": shared,
            },
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "event"}},
        "root": {"level": level, "handlers": ["stderr"]},
        "loggers": {
            "django": {"level": "INFO", "handlers": [], "propagate": True},
            "django.server": {"level": "WARNING", "handlers": [], "propagate": True},
            "django.request": {"level": "ERROR", "propagate": True},        # request.finished tells of the rest
            "django.security.DisallowedHost": {"level": "CRITICAL"},        # anybody can cause it, as often as they like
            "gunicorn.error": {"level": level, "handlers": [], "propagate": True},
            "celery": {"propagate": True},
            "multiprocessing": {"handlers": ["stderr"], "propagate": False},   # billiard's, which cuts it off from the root
            "celery.worker.strategy": {"level": "WARNING"},   # each job has one line of ours, job.settled
            "cassandra": {"level": "WARNING"},   # its driver tells of each connection, beside the answer of a command
            TRACING: {"level": "ERROR"},                                # and its traceback when its handler raised
        },
    }


def _told_once(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Leave out what Celery's tracing attaches to a task's error: message and traceback once more."""
    if event.get("logger") == TRACING and isinstance(data := event.pop("data", None), dict):
        event["id"], event["name"] = data.get("id"), data.get("name")
    return event
