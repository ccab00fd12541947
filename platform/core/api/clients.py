"""From which address a request comes, believing nobody but the proxies that the operator named."""

import ipaddress
import re
from collections.abc import Sequence

from django.conf import settings
from django.http import HttpRequest

# A bare IPv6 address is no host with a port, however it ends: only brackets tell where it does.
WITH_PORT = re.compile(r"(?:(?P<v4>[0-9.]+)(?=:)|\[(?P<v6>[0-9A-Fa-f]*:[0-9A-Fa-f:.]+)\])(?::(?P<port>[0-9]{1,5}))?", re.ASCII)
MOST_PORT = 65_535
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def bucket(request: HttpRequest) -> str:
    """Return what a client is counted under: its IPv4 address, or the /64 that one IPv6 subscriber has."""
    address = client_address(request)
    if address is None:
        return "local"   # a Unix socket has no address
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)


def client_address(request: HttpRequest) -> Address | None:
    """Return the client's address: the last hop that is not a trusted proxy.

    Each proxy appends the address that it saw, so the header is read from its end; what a client wrote itself stands
    before, and is never reached.
    """
    trusted = [ipaddress.ip_network(network) for network in settings.TRUSTED_PROXIES]
    address = _parse(request.META.get("REMOTE_ADDR", ""))
    hops = [hop.strip() for hop in request.headers.get("X-Forwarded-For", "").split(",") if hop.strip()]
    while hops and _is_trusted(address, trusted):
        earlier = _parse(_without_port(hops.pop()))
        if earlier is None:
            break
        address = earlier
    return address


def _is_trusted(address: Address | None, trusted: Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> bool:
    return address is not None and any(address in network for network in trusted)


def _without_port(hop: str) -> str:
    """Return a hop without the client's port, which some proxies write: `host:port`, `[v6]:port` and `[v6]`."""
    found = WITH_PORT.fullmatch(hop)
    if found is None or int(found["port"] or 0) > MOST_PORT:
        return hop
    return found["v6"] or found["v4"]


def _parse(text: str) -> Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
