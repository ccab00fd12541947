"""Where a cluster is and how it is asked: `cassandra://user:password@host,host:9042/keyspace?datacenter=dc1&level=local`."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

FORM = "cassandra://[user:password@]host[,host...][:port]/keyspace[?datacenter=NAME&level=local&attempt_seconds=2&tls=/path/of/ca.pem]"
KEYSPACE = re.compile(r"[a-z][a-z0-9_]{0,47}")
KNOWN = {"datacenter", "level", "attempt_seconds", "tls"}
PORT = 9042
ATTEMPT_SECONDS = 2.0


class WrongAddress(ValueError):
    """The address cannot be understood; the message says what is wrong and how one looks."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"{problem}; an address of Cassandra looks like {FORM}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """One keyspace of one cluster, and the level at which its locks are decided."""

    hosts: tuple[str, ...]
    keyspace: str
    port: int = PORT
    user: str = ""
    password: str = ""
    datacenter: str | None = None
    """Whose nodes are asked; None: that of the first host."""
    local: bool = False
    """Decide within the data centre (LOCAL_SERIAL), at the price of being wrong if another one takes over."""
    attempt_seconds: float = ATTEMPT_SECONDS
    tls: Path | None = None
    """The certificates that nodes must be signed by; None: no encryption."""
    translate: Callable[[str], str] | None = None
    """From an address that nodes tell to the one under which they are reached."""

    @property
    def serial(self) -> str:
        """Return the level of Paxos."""
        return "LOCAL_SERIAL" if self.local else "SERIAL"

    @property
    def quorum(self) -> str:
        """Return the level of commits and of readings that decide nothing."""
        return "LOCAL_QUORUM" if self.local else "QUORUM"

    @classmethod
    def parse(cls, url: str) -> "Address":
        """Read an address; raise `WrongAddress` where it is none."""
        parts = urlsplit(url)
        account, _, places = parts.netloc.rpartition("@")
        user, _, password = account.partition(":")
        hosts, port = _hosts(places)
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        keyspace = parts.path.strip("/")
        if parts.scheme != "cassandra":
            raise WrongAddress(f"its scheme is {parts.scheme!r}")
        if not KEYSPACE.fullmatch(keyspace):
            raise WrongAddress(f"{keyspace!r} is no name of a keyspace (lower case letters, digits and _)")
        if unknown := options.keys() - KNOWN:
            raise WrongAddress(f"nobody knows its option {', '.join(sorted(unknown))}")
        if (level := options.get("level", "global")) not in {"global", "local"}:
            raise WrongAddress(f"its level is {level!r}, not global or local")
        return cls(
            hosts=hosts, port=port, keyspace=keyspace, user=unquote(user), password=unquote(password),
            datacenter=options.get("datacenter"), local=level == "local", attempt_seconds=_seconds(options.get("attempt_seconds")),
            tls=Path(options["tls"]) if options.get("tls") else None,
        )


def _hosts(text: str) -> tuple[tuple[str, ...], int]:
    """Return the hosts and their common port, which may stand behind any of them."""
    hosts, ports = [], set()
    for place in text.split(","):
        host, colon, port = place.partition(":")
        if not host or (colon and not port.isdecimal()):
            raise WrongAddress(f"{place!r} is no host")
        hosts.append(host)
        ports |= {int(port)} if colon else set()
    if len(ports) > 1:
        raise WrongAddress("its hosts have different ports, and a cluster has one")
    return tuple(hosts), ports.pop() if ports else PORT


def _seconds(text: str | None) -> float:
    if text is None:
        return ATTEMPT_SECONDS
    if not re.fullmatch(r"\d+(\.\d+)?", text) or not float(text):
        raise WrongAddress(f"attempt_seconds={text} is no number above 0")
    return float(text)
