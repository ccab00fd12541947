"""The id that ties a request, its log lines and the jobs that it starts together."""

import re
import time
from collections.abc import Callable

import structlog
from django.http import HttpRequest, HttpResponse

from core.ids import uuid7
from core.observability import metrics

HEADER = "X-Request-ID"
SANE = re.compile(r"[A-Za-z0-9._:-]{1,128}", re.ASCII)   # nothing that could break a header, a log line or a page
QUIET = ("/healthz", "/readyz", "/metrics", "/static/", "/favicon.ico")   # asked all the time, of interest only when they fail
log = structlog.get_logger(__name__)


def current_request_id() -> str:
    """Return the id of the request that this code runs for, also inside a job that the request started, else ""."""
    return str(structlog.contextvars.get_contextvars().get("request_id", ""))


class RequestIdMiddleware:
    """Give each request an id, log how it ended in one event, and count it. Stands first."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        given = request.headers.get(HEADER, "")
        request_id = given if SANE.fullmatch(given) else str(uuid7())
        structlog.contextvars.clear_contextvars()   # threads of the server are used again
        structlog.contextvars.bind_contextvars(request_id=request_id)
        start = time.perf_counter()
        try:
            response = self.get_response(request)
            seconds = time.perf_counter() - start
            response[HEADER] = request_id
            _tell(request, response, seconds=seconds)
            return response
        finally:
            structlog.contextvars.clear_contextvars()


def _tell(request: HttpRequest, response: HttpResponse, *, seconds: float) -> None:
    match = request.resolver_match
    route = f"/{match.route}" if match else "unmatched"
    metrics.request_finished(
        method=request.method or "", route=route, status=response.status_code, seconds=seconds,
    )
    quiet = request.path.startswith(QUIET) and response.status_code < 400
    (log.debug if quiet else log.info)(
        "request.finished",
        method=request.method,
        path=request.path,
        status=response.status_code,
        duration_ms=round(seconds * 1000, 1),
        client=request.META.get("REMOTE_ADDR", ""),
        principal=getattr(request, "principal_key", None),
    )
