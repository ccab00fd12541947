"""One connection of one request: pinned to the checked addresses, and cut when the time is over."""

import contextlib
import ipaddress
import os
import socket
import threading
from collections.abc import Sequence
from functools import partial
from typing import Any, cast

from requests import PreparedRequest
from requests.adapters import HTTPAdapter
from requests_hardened.ip_filter import InvalidIPAddress, filter_host
from requests_hardened.ip_filter_adapter import IPFilterAdapter
from urllib3 import HTTPConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError

from core.outgoing import addresses
from core.outgoing.errors import Refused, TimedOut

LEAST_SECONDS = 1.0   # for one of several addresses


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
    def __init__(self, *args: Any, line: Line, pinned: Sequence[addresses.Address], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._line = line
        self._pinned = pinned

    def _new_conn(self) -> socket.socket:
        connected = self._connected()
        try:
            self._line.hold(connected)
        except BaseException:
            connected.close()
            raise
        return connected


    def _connected(self) -> socket.socket:
        """Connect to the first of the checked addresses that takes us; one that is silent leaves time for the others."""
        if not self._pinned:   # inner addresses are allowed: the library looks the name up and tries all
            return super()._new_conn()
        if isinstance(self.timeout, int | float):
            self.timeout = max(self.timeout / len(self._pinned), LEAST_SECONDS)
        for number, address in enumerate(self._pinned, start=1):
            self._dns_host = str(address)
            try:
                return super()._new_conn()
            except ConnectTimeoutError:   # refused ones are of its kind
                if number == len(self._pinned):
                    raise
        raise AssertionError


class _HeldTLS(_Held, HTTPSConnection):
    pass


class Adapter(IPFilterAdapter):   # type: ignore[misc]  # the library ships no types
    """The library's adapter, for a name with several addresses: looked up once, each judged by its list and by ours."""

    def __init__(self, scheme: str, *, line: Line) -> None:
        self._line = line
        self._kind = _HeldTLS if scheme == "https" else _Held
        self._pinned: list[addresses.Address] = []
        super().__init__(is_https_proto=scheme == "https")

    def build_connection_pool_key_attributes(self, request: PreparedRequest, verify: Any, cert: Any = None) -> Any:
        """Return where to connect to, and how TLS is to know the server."""
        attributes: Any = HTTPAdapter.build_connection_pool_key_attributes(self, request, verify, cert)
        host, tls = attributes
        if self._line.allow_private:
            return host, tls
        name, port = host["host"], host["port"]
        self._pinned = addresses.resolved(name, port, url=self._line.url)
        for address in self._pinned:   # it would look a name up again, and take the first address; an address it judges
            try:
                filter_host(str(address), port, allow_loopback=False)
            except InvalidIPAddress as exc:
                raise Refused(self._line.url, address=str(address), reason="an inner address") from exc
        # An address stands in the place of the name; Host, SNI and certificate still go by the name.
        host["host"] = str(self._pinned[0])
        request.headers["Host"] = (f"[{name}]" if ":" in name else name) + (f":{port}" if port is not None else "")
        if self._is_https_proto:
            tls["assert_hostname"] = tls["server_hostname"] = name
        return host, tls

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> HTTPConnectionPool:
        pool = cast("HTTPConnectionPool", super().get_connection_with_tls_context(*args, **kwargs))
        pool.ConnectionCls = partial(self._kind, line=self._line, pinned=self._pinned)   # type: ignore[assignment]  # called, never subclassed
        return pool
