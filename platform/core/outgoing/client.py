"""Send one request and read its answer, within one deadline and one limit of size."""

import concurrent.futures
import contextlib
import contextvars
import importlib.metadata
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin

import requests
from django.conf import settings
from requests.structures import CaseInsensitiveDict
from urllib3.exceptions import HTTPError
from urllib3.exceptions import TimeoutError as LibraryTimeoutError

from core import clock
from core.outgoing import addresses
from core.outgoing.addresses import Target
from core.outgoing.connection import Adapter, Line
from core.outgoing.errors import (
    BadRequest,
    OutgoingError,
    RedirectRefused,
    TimedOut,
    Unreachable,
)

CONNECT_SECONDS = 10.0
CHUNK = 16 * 1024
MOST_REDIRECTS = 5
REDIRECTS = (301, 302, 303, 307, 308)
CARRIED_TO_STRANGERS = ("accept", "accept-language", "content-type", "user-agent")   # anything else may be a credential
OURS = ("host", "content-length", "transfer-encoding", "connection", "keep-alive", "te", "trailer", "upgrade",
        "expect", "proxy-authorization", "proxy-connection", "accept-encoding")   # fmt: skip
TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Response:
    """What came back. Names of headers are lower-case; `truncated` says that the body went on beyond the limit."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    truncated: bool
    url: str
    elapsed_seconds: float


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    target: Target
    headers: Mapping[str, str]
    body: bytes | None

    def redirected(self, status: int, location: str) -> "_Request":
        """Return the request that a redirect asks for, without credentials when it leads to another origin."""
        url = self.target.url
        try:
            target = addresses.parse(urljoin(url, location))
        except (BadRequest, ValueError) as exc:
            raise RedirectRefused(url, target=location, reason=str(exc)) from exc
        if (self.target.scheme, target.scheme) == ("https", "http"):
            raise RedirectRefused(url, target=target.url, reason="it leaves encryption")
        headers = dict(self.headers)
        if target.origin != self.target.origin:
            headers = {name: value for name, value in headers.items() if name.lower() in CARRIED_TO_STRANGERS}
        if status in (307, 308) or self.method in ("GET", "HEAD"):
            return _Request(self.method, target, headers, self.body)
        headers = {name: value for name, value in headers.items() if not name.lower().startswith("content-")}
        return _Request("GET", target, headers, None)


def check(url: str) -> str:
    """Return the URL as it will be sent; raise what can be known without a look-up (`BadRequest`, `Refused`).

    Call it where an address comes in, so that its author hears of a mistake at once. It does not replace the check
    of each connection, which `request` makes: a name may resolve to anything.
    """
    target = addresses.parse(url)
    if not settings.OUTGOING_ALLOW_PRIVATE:
        addresses.refuse_literal(target)
    return target.url


def check_headers(headers: Mapping[str, str], *, url: str = "") -> None:
    """Raise `BadRequest` for a header that would break the request, or that only the platform may set."""
    seen: set[str] = set()
    for name, value in headers.items():
        lowered, reason = name.lower(), ""
        if not TOKEN.fullmatch(name):
            reason = "is not a name: use letters, digits and hyphens"
        elif lowered in OURS:
            reason = "is set by the platform: leave it out"
        elif lowered in seen:
            reason = "is given twice, in another spelling"
        elif found := CONTROL.search(value):
            reason = f"holds {found[0]!r}: a value is one line without control characters"
        elif not value.isascii() or value != value.strip(" \t"):
            reason = "has a value with letters beyond ASCII or blanks at an end: encode it"
        if reason:
            raise BadRequest(url, part="headers", reason=f"{name!r} {reason}")
        seen.add(lowered)


def request(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    timeout_seconds: float = 20.0,
    allow_redirects: bool = False,
    max_bytes: int = 64 * 1024,
    allow_private: bool | None = None,
) -> Response:
    """Send a request and return the answer, of whatever status, before `timeout_seconds` are over.

    At most `max_bytes` of the (decoded) body are read, the rest is never asked for. An answer that does not come is
    one of the errors of this package. Say `allow_private` only where an operator has typed the address; for all
    others the setting decides.
    """
    if not TOKEN.fullmatch(method):
        raise BadRequest(url, part="method", reason=f"{method!r} is not a method")
    check_headers(headers or {}, url=url)
    first = _Request(method.upper(), addresses.parse(url), dict(headers or {}), body)
    allowed = settings.OUTGOING_ALLOW_PRIVATE if allow_private is None else allow_private
    line = Line(first.target.url, seconds=timeout_seconds, allow_private=allowed)
    exchange = _Exchange(first, line=line, allow_redirects=allow_redirects, max_bytes=max_bytes)
    answer: concurrent.futures.Future[Response] = concurrent.futures.Future()
    # A thread, because a look-up of a name cannot be interrupted. The caller's context goes along for traces and logs.
    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(exchange.run, answer), name="outgoing", daemon=True).start()
    try:
        concurrent.futures.wait([answer], timeout=timeout_seconds)
        if not answer.done():
            raise TimedOut(first.target.url, seconds=timeout_seconds)
        return answer.result()
    finally:
        line.cut()   # also when the caller is interrupted: the thread ends with its socket


class _Exchange:
    def __init__(self, first: _Request, *, line: Line, allow_redirects: bool, max_bytes: int) -> None:
        self._request = first
        self._line = line
        self._redirects = MOST_REDIRECTS if allow_redirects else None
        self._max_bytes = max_bytes
        self._started = clock.elapsed()

    def run(self, answer: concurrent.futures.Future[Response]) -> None:
        try:
            answer.set_result(self._follow())
        except BaseException as exc:  # noqa: BLE001  carried to the caller, who waits in another thread
            answer.set_exception(exc)

    def _follow(self) -> Response:
        while True:
            response = self._send()
            if isinstance(response, Response):
                return response
            self._request = response

    def _spent(self) -> float:
        return clock.elapsed() - self._started

    def _send(self) -> "Response | _Request":
        url = self._line.url = self._request.target.url
        try:
            return self._exchange_once()
        except OutgoingError:
            raise
        except (requests.exceptions.InvalidURL, requests.exceptions.InvalidHeader) as exc:
            raise BadRequest(url, part="url", reason=f"cannot be sent: {exc}") from exc
        except (requests.Timeout, LibraryTimeoutError, TimeoutError) as exc:
            raise TimedOut(url, seconds=self._line.seconds) from exc
        except (requests.RequestException, HTTPError, OSError, ValueError) as exc:
            raise Unreachable(url, reason=_root(exc)) from exc

    def _exchange_once(self) -> "Response | _Request":
        asked = self._request
        if not self._line.allow_private:
            addresses.refuse_literal(asked.target)
        remaining = max(self._line.seconds - self._spent(), 0.001)
        prepared = requests.Request(
            asked.method, asked.target.url, headers=_complete(asked.headers), data=asked.body,
        ).prepare()
        # The adapter without a session: a session brings proxies and passwords of the environment and keeps cookies,
        # and reads the whole body of each redirect, also of one that it is told not to follow.
        with contextlib.closing(Adapter(asked.target.scheme, line=self._line)) as adapter, adapter.send(
            prepared, stream=True, timeout=(min(CONNECT_SECONDS, remaining), remaining), verify=True, proxies={},
        ) as got:
            location = got.headers.get("location")
            if self._redirects is not None and got.status_code in REDIRECTS and location:
                self._redirects -= 1
                if self._redirects < 0:
                    reason = f"{MOST_REDIRECTS} redirects went before"
                    raise RedirectRefused(asked.target.url, target=location, reason=reason)
                return asked.redirected(got.status_code, location)
            body = _read(got.raw, most=self._max_bytes + 1)
            return Response(
                status=got.status_code,
                headers={name.lower(): value for name, value in got.headers.items()},
                body=body[: self._max_bytes],
                truncated=len(body) > self._max_bytes,
                url=asked.target.url,
                elapsed_seconds=self._spent(),
            )


def _complete(headers: Mapping[str, str]) -> CaseInsensitiveDict[str]:
    complete = CaseInsensitiveDict({"User-Agent": user_agent(), "Accept": "*/*"})
    complete.update(headers)
    complete.update({"Accept-Encoding": "gzip", "Connection": "close"})
    return complete


def _read(raw: Any, *, most: int) -> bytes:
    """Read until the end or until `most` bytes are there; the decoder never makes more than it is asked for."""
    body = bytearray()
    while len(body) < most and (chunk := raw.read(min(CHUNK, most - len(body)), decode_content=True)):
        body += chunk
    return bytes(body)


def user_agent() -> str:
    """Return how the platform names itself to others."""
    try:
        return f"latchwork/{importlib.metadata.version('latchwork')}"
    except importlib.metadata.PackageNotFoundError:   # a bare checkout
        return "latchwork"


def _root(exc: BaseException) -> str:
    """Return the sentence of the error that the libraries' errors wrap, which is the one a person understands."""
    while inner := exc.__cause__ or exc.__context__:
        exc = inner
    text = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
    return ascii(text or exc.__class__.__name__)[1:-1][:200]
