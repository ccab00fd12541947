"""Asks a type's retry policy, which may be anybody's code, and trusts nothing of its answer."""

import math

import structlog

from apps.jobs.registry import JobType
from apps.jobs.retry import Exponential

FALLBACK = Exponential()

log = structlog.get_logger(__name__)


def delay_after(job_type: JobType | None, *, failures: int, error: BaseException | None = None) -> float | None:
    """Return the seconds until the attempt after this failure, or None when there shall be none.

    A policy that raises, or answers what is no time, is replaced by the default one: its mistake must neither end a
    worker nor hold up the endings of other jobs.
    """
    if job_type is None:
        return None
    try:
        delay = job_type.retry.delay_seconds(failures, error)
        if delay is None or math.isfinite(delay):
            return None if delay is None else max(0.0, float(delay))
    except Exception as exc:  # noqa: BLE001  it may raise anything
        log.warning("retry.policy_failed", type=job_type.name, error=f"{type(exc).__name__}: {exc}")
    else:
        log.warning("retry.policy_failed", type=job_type.name, error=f"it answered {delay!r}")
    return FALLBACK.delay_seconds(failures)
