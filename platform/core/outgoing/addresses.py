"""Which addresses a request may go to: the form of the URL, and the ranges that count as inside."""

import ipaddress
import re
import socket
from dataclasses import dataclass
from typing import TypeAlias

import requests
from requests_hardened.ip_filter import EXTRA_BLOCKED_NET_RANGES
from urllib3.exceptions import HTTPError
from urllib3.util import parse_url
from urllib3.util.connection import allowed_gai_family

from core.outgoing.errors import BadRequest, Refused

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
LONGEST = 8192
MOST_ADDRESSES = 8   # of one name that are tried
PORTS = {"http": 80, "https": 443}
UNSAFE = re.compile(r"[\x00-\x20\x7f-\x9f\\]")   # parsers disagree about these, and disagreement is how filters are passed
FORM = re.compile(r"https?://(?P<authority>[^/?#]+)", re.IGNORECASE)
GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")   # all of IPv6 that is given out; the rest translates or is local
HOSTS_OF_CLOUDS = {ipaddress.ip_address("168.63.129.16"): "Azure's host, which hands out secrets of the machine"}


@dataclass(frozen=True, slots=True)
class Target:
    """A URL that has the right form, as it will be sent."""

    url: str
    scheme: str
    host: str
    port: int

    @property
    def origin(self) -> tuple[str, str, int]:
        """Return what must stay equal for credentials to be carried along."""
        return self.scheme, self.host, self.port


def parse(url: str) -> Target:
    """Return the target of a URL; raise `BadRequest` when it is not plain http or https.

    It is read by the very functions that send it, after their normalisation (full-width digits, for one, become
    plain ones), so that what is checked and what is sent cannot differ.
    """
    if len(url) > LONGEST:
        raise BadRequest(url, part="url", reason=f"is longer than {LONGEST} characters")
    if found := UNSAFE.search(url):
        raise BadRequest(url, part="url", reason=f"holds {found[0]!r}: encode it with percent signs")
    if not (form := FORM.match(url)):
        raise BadRequest(url, part="url", reason="must begin with http:// or https://, then name a host")
    if "@" in form["authority"]:
        raise BadRequest(url, part="url", reason="must not hold a user or password: use an Authorization header")
    try:
        given_port = parse_url(url).port
        sent = requests.Request("GET", url).prepare().url or ""
        parts = parse_url(sent)
    except (requests.RequestException, HTTPError, ValueError) as exc:
        raise BadRequest(url, part="url", reason="names a host or port that cannot be read") from exc
    if given_port == 0:   # the library drops this port and would send to another
        raise BadRequest(url, part="url", reason="must not name port 0")
    if not parts.host or not parts.scheme:
        raise BadRequest(url, part="url", reason="must name a host")
    host = parts.host.strip("[]").lower()
    return Target(url=sent, scheme=parts.scheme, host=host, port=parts.port or PORTS[parts.scheme])


def reason_against(address: Address) -> str | None:
    """Say why an address counts as inside; return None when it is an ordinary one of the public internet."""
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    kinds = {
        "the unspecified address": address.is_unspecified,
        "a loopback address": address.is_loopback,
        "a link-local address, where clouds hand out secrets": address.is_link_local,
        "a multicast address": address.is_multicast,
        "a reserved address": address.is_reserved,
        "a private address": not address.is_global,
        "an address of a translated or special range": any(address in net for net in EXTRA_BLOCKED_NET_RANGES),
        "not a public IPv6 address": address.version == 6 and address not in GLOBAL_UNICAST,
    }
    return HOSTS_OF_CLOUDS.get(address) or next((kind for kind, holds in kinds.items() if holds), None)


def literal(host: str) -> Address | None:
    """Return the address that a host spells out in any form the resolver takes (127.1, 0x7f000001, ::1), else None."""
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host.rstrip(".")))
    except (OSError, UnicodeError):
        return None


def resolved(host: str, port: int | None, *, url: str) -> list[Address]:
    """Return all addresses of a host, in the resolver's order; raise `Refused` when one of them is an inner one."""
    found: list[Address] = []
    for *_, place in socket.getaddrinfo(host, port, family=allowed_gai_family(), type=socket.SOCK_STREAM):
        address = ipaddress.ip_address(str(place[0]).partition("%")[0])
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        if reason := reason_against(address):
            raise Refused(url, address=str(address), reason=reason)
        if address not in found:
            found.append(address)
    return found[:MOST_ADDRESSES]


def refuse_literal(target: Target) -> None:
    """Refuse what can be refused without a look-up, so that whoever gives an address hears it at once."""
    if target.host.rstrip(".") == "localhost" or target.host.rstrip(".").endswith(".localhost"):
        raise Refused(target.url, address="this machine", reason="a loopback name")
    address = literal(target.host)
    if address and (reason := reason_against(address)):
        raise Refused(target.url, address=str(address), reason=reason)
