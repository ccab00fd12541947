"""What Prometheus reads. Callers use the verbs below and never touch a label.

A process counts its own events; what is true of the whole platform is asked of PostgreSQL when Prometheus comes, by
collectors that the apps add with `register`.
"""

import os
from collections.abc import Iterable
from typing import Protocol

import prometheus_client
import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector

log = structlog.get_logger(__name__)

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_requests = Counter("latchwork_http_requests", "Answered HTTP requests.", ["method", "route", "status"])
_request_seconds = Histogram("latchwork_http_request_seconds", "Time to answer an HTTP request.", ["method", "route"])
_rate_limited = Counter("latchwork_rate_limited", "Requests refused by the rate limit.")
_rate_store_failures = Counter(
    "latchwork_rate_limit_store_failures", "Requests let through unlimited because the store did not answer.",
)
_idempotency = Counter("latchwork_idempotent_requests", "Requests with an Idempotency-Key, by how they went.", ["outcome"])


class Collector(Protocol):
    """What reads the platform's tables at a scrape; it must bound its own time."""

    def collect(self) -> Iterable[Metric]:
        """Yield metric families."""


_collectors: dict[str, Collector] = {}


def register(name: str, collector: Collector) -> None:
    """Have `/metrics` ask this collector too; `name` says whose it is when it fails."""
    _collectors[name] = collector


def request_finished(*, method: str, route: str, status: int, seconds: float) -> None:
    """Count an answered request. `route` is the pattern, never the path, which would make endless series."""
    method = method if method in METHODS else "other"   # a client may invent methods
    _requests.labels(method=method, route=route, status=str(status)).inc()
    _request_seconds.labels(method=method, route=route).observe(seconds)


def rate_limited() -> None:
    """Count a request that the rate limit refused."""
    _rate_limited.inc()


def rate_limit_store_failed() -> None:
    """Count a request that nobody could count."""
    _rate_store_failures.inc()


def idempotent_request(outcome: str) -> None:
    """Count a request with a key: `first`, `replayed`, `busy` or `mismatch`."""
    _idempotency.labels(outcome=outcome).inc()


class _Platform:
    """All registered collectors as one, so that a failing one takes nothing else down and is seen."""

    def collect(self) -> Iterable[Metric]:
        failed = GaugeMetricFamily(
            "latchwork_collector_failed", "1 where a collector could not read its tables.", labels=["collector"],
        )
        for name, collector in _collectors.items():
            families: list[Metric] = []
            try:
                families = list(collector.collect())
            except Exception as exc:  # noqa: BLE001  the other collectors still have something to say
                log.warning("metrics.collector_failed", collector=name, error=f"{exc.__class__.__name__}: {exc}")
            failed.add_metric([name], float(not families))
            yield from families
        yield failed


def scrape() -> bytes:
    """Return everything that this process can tell, in Prometheus' text form."""
    registry = CollectorRegistry()
    registry.register(_Platform())
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):   # several web processes count together
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # the library has no types here
        return generate_latest(registry)
    return generate_latest(prometheus_client.REGISTRY) + generate_latest(registry)


@require_safe
@never_cache
def view(request: HttpRequest) -> HttpResponse:
    """Answer `/metrics`. With METRICS_TOKEN set, only to those who send it; without, to whoever can reach it."""
    given = request.headers.get("Authorization", "").removeprefix("Bearer ")
    if settings.METRICS_TOKEN and not constant_time_compare(given, settings.METRICS_TOKEN):
        return HttpResponse("send METRICS_TOKEN as a Bearer token\n", status=401, headers={"WWW-Authenticate": "Bearer"})
    return HttpResponse(scrape(), content_type=prometheus_client.CONTENT_TYPE_LATEST)
