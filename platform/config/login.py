"""The admin's log-in, which may be tried so often: by one client address, and for one account from wherever.

A right password counts for the client, and forgets what was counted for the account. While the store is away each
process counts for itself: to let everybody guess would be worse, and to let nobody in as well.
"""

import hashlib
import math
import time
import unicodedata
from collections.abc import Callable
from functools import lru_cache
from http import HTTPStatus

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from config import pages
from core import audit
from core.api import clients, throttling

log = structlog.get_logger(__name__)


class Tries:
    """Counted tries of one kind: in the store, else here."""

    def __init__(self, *, url: str, rate: str) -> None:
        self.shared = throttling.Window(url=url, rate=rate)
        self.own = MovingWindowRateLimiter(MemoryStorage())

    def take(self, bucket: str) -> int:
        """Count a try and return 0, or return after how many seconds it is worth another."""
        taken = self.shared.take(bucket)
        if taken is None:
            if self.own.hit(self.shared.item, bucket):
                return 0
            return max(1, math.ceil(self.own.get_window_stats(self.shared.item, bucket).reset_time - time.time()))
        return 0 if taken else self.shared.seconds_to_wait(bucket)

    def forget(self, bucket: str) -> None:
        """Count from nothing again."""
        self.own.clear(self.shared.item, bucket)
        self.shared.forget(bucket)


@lru_cache(maxsize=4)
def tries(url: str, rate: str) -> Tries:
    """Return this process' counter; it connects at its first use, after any fork."""
    return Tries(url=url, rate=rate)


def throttled(view: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Return the view of a log-in form that answers 429 to whoever has tried too often."""

    def login(request: HttpRequest) -> HttpResponse:
        if request.method != "POST":
            return view(request)
        client, account = f"login:{clients.bucket(request)}", _account(request)
        of_client = tries(settings.CACHE_URL, settings.LOGIN_RATE_LIMIT)
        of_account = tries(settings.CACHE_URL, settings.LOGIN_RATE_LIMIT_ACCOUNT)
        seconds = of_client.take(client) or of_account.take(account)
        if seconds:
            log.warning("login.throttled", client=client)
            return _refused(request, seconds=seconds)
        response = view(request)
        if request.user.is_authenticated and response.status_code == HTTPStatus.FOUND:
            of_account.forget(account)
            audit.record(action="user.log_in", target=f"user:{request.user.pk}")
        else:
            log.warning("login.failed", client=client)
        return response

    return login


def _account(request: HttpRequest) -> str:
    """Return what an account is counted under: names that Django takes for one, and nothing that a key could not hold."""
    name = unicodedata.normalize("NFKC", request.POST.get("username", "")).casefold().strip()
    return f"account:{hashlib.sha256(name.encode('utf-8', 'replace')).hexdigest()[:32]}"


def _refused(request: HttpRequest, *, seconds: int) -> HttpResponse:
    detail = f"too many tries to log in: come back in {seconds} seconds"
    response = pages.say(request, HTTPStatus.TOO_MANY_REQUESTS, detail)
    response.headers["Retry-After"] = str(seconds)
    return response
