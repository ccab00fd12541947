"""EMAIL_URL: the server that mail is handed over to.

Read here and not by a library: those that read such addresses (django-environ, dj-email-url) take `smtps` for STARTTLS on
a plain line, and pass over an option that they do not know, so that a misspelt `tls` would send the password in clear.
"""

import ipaddress
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import parse_qsl, unquote, urlsplit

FORM = "smtp://user:password@host:port?tls=true or smtps://user:password@host:port"
PORTS = {"smtp": 25, "smtps": 465}
SUBMISSION = 587   # where smtp://…?tls=true goes without a port
TRUE, FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")
OPTIONS = {"tls": 0.0, "connect_timeout": 60.0, "timeout": 300.0}   # what there is, and the most seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Relay:
    """A mail server. `implicit` is TLS from the first byte, `starttls` a plain line that turns to TLS or is given up."""

    host: str = ""
    port: int = 25
    user: str = ""
    password: str = field(default="", repr=False)
    tls: Literal["none", "starttls", "implicit"] = "none"
    connect_seconds: float = 10.0
    """How long a connection may take to be there."""
    answer_seconds: float = 60.0
    """How long each answer may take; servers look into a mail before they answer its last byte."""


def parse(url: str) -> Relay:
    """Return the server that an address names, none for an empty one; raise `ValueError` with what to mend."""
    if not url:
        return Relay()
    parts = urlsplit(url)
    if parts.scheme not in PORTS or not parts.hostname or parts.path not in {"", "/"} or parts.fragment:
        raise ValueError(f"must look like {FORM}")
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        raise ValueError("names a port that is none: give 1 to 65535")
    options = _options(parts.query)
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if not (user + password).isascii() or bool(user) != bool(password):
        raise ValueError("needs both user and password or none of them, in ASCII (encode @ : / % with percent signs)")
    tls = _tls(parts.scheme, options.get("tls"))
    if password and tls == "none" and "tls" not in options and not _is_here(parts.hostname):
        raise ValueError("would send the password over a plain line: add ?tls=true, or say smtps:// (or ?tls=false, if it must be)")
    usual = SUBMISSION if tls == "starttls" else PORTS[parts.scheme]
    return Relay(
        host=parts.hostname, port=port or usual, user=user, password=password, tls=tls,
        connect_seconds=_seconds(options, "connect_timeout", usual=10.0), answer_seconds=_seconds(options, "timeout", usual=60.0),
    )


def _options(query: str) -> dict[str, str]:
    pairs = parse_qsl(query, keep_blank_values=True)
    for name, _ in pairs:
        if name not in OPTIONS:
            raise ValueError(f"has an option {name!r} that is none: known are {', '.join(OPTIONS)}")
    options = dict(pairs)
    if len(options) < len(pairs):
        raise ValueError("gives an option twice")
    return options


def _tls(scheme: str, word: str | None) -> Literal["none", "starttls", "implicit"]:
    if word is not None and word.lower() not in (*TRUE, *FALSE):
        raise ValueError("has an option tls that is neither true nor false")
    wanted = word is not None and word.lower() in TRUE
    if scheme == "smtps":
        if word is not None and not wanted:
            raise ValueError("says smtps:// and tls=false at once: smtp:// is without TLS")
        return "implicit"
    return "starttls" if wanted else "none"


def _seconds(options: dict[str, str], name: str, *, usual: float) -> float:
    try:
        seconds = float(options.get(name, usual))
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= OPTIONS[name]:
        raise ValueError(f"has an option {name} that is no number of seconds from above 0 to {OPTIONS[name]:g}")
    return seconds


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
