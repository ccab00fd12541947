"""How often one address may change something: a moving window, exact because one script in the store decides.

The store is a convenience, not a guard of data: when it is away requests pass, and a metric tells. Away is a store that
refuses a connection or breaks one off. One that is silent may live, and only stall for a moment: whoever is over the limit as
far as this process knows is refused then, the others pass. A silence that goes on is not waited for again with each request.
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
from core.api.memory import Memory
from core.api.problems import QUOTA_EXCEEDED, Problem
from core.observability import metrics

POLICY = "writes"
CONNECT_SECONDS, ANSWER_SECONDS = 0.03, 0.06   # together what a silent store may cost a request
SILENT_SECONDS = 0.5                           # after so long without any answer it is not asked each time
FORGOTTEN_SECONDS = 10.0                       # two silences that far apart are two
PAUSE_SECONDS = 2.0                            # how long a store that failed, or is silent, is left alone
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
        self.memory = Memory(amount=self.item.amount, seconds=self.item.get_expiry())
        self._away_until = self._silent_until = 0.0
        self._silence: tuple[float, float] | None = None   # its first and its last request that got no answer

    def take(self, bucket: str) -> bool | None:
        """Count one request; False when the window is full, None when nobody could count."""
        now = time.monotonic()
        if now < self._away_until:
            metrics.rate_limit_store_failed()
            return None
        fits = self.memory.note(bucket, at=now)
        if now < self._silent_until:
            return self._judged(bucket, at=now)
        if not fits and self._silence is None:   # else the store is asked all the same, to hear whether it answers again
            return False
        try:
            taken = self.limiter.hit(self.item, bucket)
        except redis.TimeoutError as exc:   # whether it was counted, nobody knows
            self._note_silence(exc, asked=now)
            return self._judged(bucket, at=now)
        except redis.RedisError as exc:
            self._leave_alone(exc)
            return None
        self._silence = None
        if not taken:
            self.memory.take_back(bucket, at=now)
        return taken and fits

    def seconds_to_wait(self, bucket: str) -> int:
        """Return after how many whole seconds the oldest counted request leaves the window."""
        left = self.memory.left(bucket, at=time.monotonic())
        if not left:
            try:
                left = self.limiter.get_window_stats(self.item, bucket).reset_time - time.time()
            except redis.RedisError:
                left = self.item.get_expiry()
            else:
                self.memory.was_full(bucket, until=time.monotonic() + left)
        return max(1, math.ceil(left))

    def forget(self, bucket: str) -> None:
        """Count from nothing again, if the store answers."""
        self.memory.forget(bucket)
        with contextlib.suppress(redis.RedisError):
            self.limiter.clear(self.item, bucket)

    def _judged(self, bucket: str, *, at: float) -> bool | None:
        """Say of a request that was noted at that moment what is known here alone."""
        if not self.memory.decide(bucket, at=at):
            return False
        metrics.rate_limit_store_failed()
        return None

    def _note_silence(self, exc: redis.TimeoutError, *, asked: float) -> None:
        first, last = self._silence or (asked, asked)
        if asked - last > FORGOTTEN_SECONDS:
            first = asked
        self._silence = first, asked
        if asked - first >= SILENT_SECONDS:
            self._silent_until = time.monotonic() + PAUSE_SECONDS
        log.warning("rate_limit.store_silent", error=str(exc), seconds=round(asked - first, 3))

    def _leave_alone(self, exc: redis.RedisError) -> None:
        self._away_until = time.monotonic() + PAUSE_SECONDS
        log.warning("rate_limit.store_away", error=f"{exc.__class__.__name__}: {exc}")
        metrics.rate_limit_store_failed()


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
