"""One connection of one request: pinned to the checked address, and cut when the time is over."""

import contextlib
import ipaddress
import os
import socket
import threading
from functools import partial
from typing import Any, cast

from requests import PreparedRequest
from requests.adapters import HTTPAdapter
from requests_hardened.ip_filter import InvalidIPAddress
from requests_hardened.ip_filter_adapter import IPFilterAdapter
from urllib3 import HTTPConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

from core.outgoing import addresses
from core.outgoing.errors import Refused, TimedOut


class Line:
    """What a request holds open, so that another thread can end it at any moment: while it sends, waits or reads.

    Socket timeouts begin anew with each byte that arrives; only shutting the socket down ends a dripping server.
    """

    def __init__(self, url: str, *, seconds: float, allow_private: bool) -> None:
        self.url = url
        self.seconds = seconds
        self.allow_private = allow_private
        self._mutex = threading.Lock()
        self._over = False
        self._held: list[socket.socket] = []

    def hold(self, connected: socket.socket) -> None:
        """Check whom we are connected to before the first byte is sent, and keep a second handle of the socket.

        The handle is a duplicate because TLS takes the first one for itself.
        """
        peer = ipaddress.ip_address(connected.getpeername()[0].partition("%")[0])
        if not self.allow_private and (reason := addresses.reason_against(peer)):
            raise Refused(self.url, address=str(peer), reason=reason)
        with self._mutex:
            if self._over:
                raise TimedOut(self.url, seconds=self.seconds)
            self._held.append(socket.socket(fileno=os.dup(connected.fileno())))

    def cut(self) -> None:
        """End whatever is still going on; safe to call twice, and when nothing was ever open."""
        with self._mutex:
            self._over = True
            held, self._held = self._held, []
        for handle in held:
            with contextlib.suppress(OSError):   # the other side was faster
                handle.shutdown(socket.SHUT_RDWR)
            handle.close()


class _Held(HTTPConnection):
    def __init__(self, *args: Any, line: Line, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._line = line

    def _new_conn(self) -> socket.socket:
        connected = super()._new_conn()
        try:
            self._line.hold(connected)
        except BaseException:
            connected.close()
            raise
        return connected


class _HeldTLS(_Held, HTTPSConnection):
    pass


class Adapter(IPFilterAdapter):   # type: ignore[misc]  # the library ships no types
    """The library's adapter (resolve once, refuse, pin the address) with our stricter list of ranges behind it."""

    def __init__(self, scheme: str, *, line: Line) -> None:
        self._line = line
        self._kind = _HeldTLS if scheme == "https" else _Held
        super().__init__(is_https_proto=scheme == "https")

    def build_connection_pool_key_attributes(
        self, request: PreparedRequest, verify: Any, cert: Any = None,
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        if self._line.allow_private:
            plain = HTTPAdapter.build_connection_pool_key_attributes(self, request, verify, cert)
            return cast("tuple[dict[str, Any], dict[str, Any]]", plain)
        try:
            host, tls = super().build_connection_pool_key_attributes(request, verify, cert)
        except InvalidIPAddress as exc:
            address = exc.args[0]
            reason = addresses.reason_against(address) or "an inner address"
            raise Refused(self._line.url, address=str(address), reason=reason) from exc
        pinned = ipaddress.ip_address(host["host"].strip("[]").partition("%")[0])
        if stricter := addresses.reason_against(pinned):
            raise Refused(self._line.url, address=str(pinned), reason=stricter)
        return host, tls

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> HTTPConnectionPool:
        pool = cast("HTTPConnectionPool", super().get_connection_with_tls_context(*args, **kwargs))
        pool.ConnectionCls = partial(self._kind, line=self._line)   # type: ignore[assignment]  # called, never subclassed
        return pool
