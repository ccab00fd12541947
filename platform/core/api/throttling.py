"""How often one address may change something: a moving window, exact because one script in the store decides.

The store is a convenience, not a guard of data: when it is away requests pass, and a metric tells.
"""

import contextlib
import math
import time
from functools import lru_cache
from http import HTTPStatus
from typing import Any

import redis.backoff
import redis.retry
import structlog
from django.conf import settings
from limits import RateLimitItem, parse
from limits.storage import RedisStorage
from limits.strategies import MovingWindowRateLimiter
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from core.api import clients
from core.api.problems import QUOTA_EXCEEDED, Problem
from core.observability import metrics

POLICY = "writes"
CONNECT_SECONDS, ANSWER_SECONDS = 0.03, 0.06   # together what a silent store may cost a request
PAUSE_SECONDS = 2.0                            # how long a store that failed is left alone
log = structlog.get_logger(__name__)


class Window:
    """The limiter of one store and one rate."""

    def __init__(self, *, url: str, rate: str) -> None:
        self.item: RateLimitItem = parse(rate)
        storage = RedisStorage(
            url,
            key_prefix="latchwork:rate",
            socket_connect_timeout=CONNECT_SECONDS,
            socket_timeout=ANSWER_SECONDS,
            retry=redis.retry.Retry(redis.backoff.NoBackoff(), 0),  # type: ignore[arg-type]  # passed on as it is
        )
        self.limiter = MovingWindowRateLimiter(storage)
        self._away_until = 0.0

    def take(self, bucket: str) -> bool | None:
        """Count one request; False when the window is full, None when nobody could count."""
        if time.monotonic() < self._away_until:
            metrics.rate_limit_store_failed()
            return None
        try:
            return self.limiter.hit(self.item, bucket)
        except redis.RedisError as exc:
            self._away_until = time.monotonic() + PAUSE_SECONDS
            log.warning("rate_limit.store_away", error=f"{exc.__class__.__name__}: {exc}")
            metrics.rate_limit_store_failed()
            return None

    def seconds_to_wait(self, bucket: str) -> int:
        """Return after how many whole seconds the oldest counted request leaves the window."""
        try:
            reset = self.limiter.get_window_stats(self.item, bucket).reset_time
        except redis.RedisError:
            reset = time.time() + self.item.get_expiry()
        return max(1, math.ceil(reset - time.time()))

    def forget(self, bucket: str) -> None:
        """Count from nothing again, if the store answers."""
        with contextlib.suppress(redis.RedisError):
            self.limiter.clear(self.item, bucket)


@lru_cache(maxsize=4)
def window(url: str, rate: str) -> Window:
    """Return this process' limiter; it connects at its first use, after any fork."""
    return Window(url=url, rate=rate)


class WriteThrottle(BaseThrottle):
    """`RATE_LIMIT` for everything that is not a read. Runs after the permissions: a 401 or 403 costs no quota."""

    def allow_request(self, request: Request, view: Any) -> bool:
        """Count the request, or refuse it with the moment from which it is worth another try.

        Every counted answer names the policy. Only a refusal names what is left: to ask for it costs another round trip,
        and time for each request in the window.
        """
        if request.method in SAFE_METHODS:
            return True
        limits = window(settings.CACHE_URL, settings.RATE_LIMIT)
        bucket = clients.bucket(request._request)  # noqa: SLF001  Django's own request
        taken = limits.take(bucket)
        if taken is None:
            return True
        view.headers["RateLimit-Policy"] = f'"{POLICY}";q={limits.item.amount};w={limits.item.get_expiry()}'
        if not taken:
            metrics.rate_limited()
            raise self._refusal(limits, bucket)
        return True

    @staticmethod
    def _refusal(limits: Window, bucket: str) -> Problem:
        seconds = limits.seconds_to_wait(bucket)
        amount, period = limits.item.amount, limits.item.get_expiry()
        return Problem(
            status=HTTPStatus.TOO_MANY_REQUESTS,
            kind=QUOTA_EXCEEDED,
            title="Too many requests",
            detail=f"more than {amount} writes in {period} seconds from this address: try again in {seconds} s",
            headers={
                "Retry-After": str(seconds),
                "RateLimit": f'"{POLICY}";r=0;t={seconds}',
            },
            facts={"violated-policies": [POLICY]},
        )
