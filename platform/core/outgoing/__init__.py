"""The one HTTP client of the platform. Whoever gives it a URL is not trusted; a lint rule forbids all other clients.

What must hold
    The address that was checked is the one that is connected to, and it is one of the public internet, unless the
    operator has set `OUTGOING_ALLOW_PRIVATE`. The call ends in time, with a bounded answer, whatever the other side
    does. Nothing of this machine's environment (proxies, .netrc) takes part.

Who sees to it
    `addresses`   reads the URL once, by the functions that send it: http and https, no user, no port 0, no blanks.
    `connection`  is an adapter of requests-hardened that resolves the name once, refuses it when any of its addresses is
                  an inner one, and puts the addresses in the place of the name (certificate and Host still go by the
                  name): they are tried in their order until one connects. Each is judged by the library and by a
                  stricter list of ours (the library lets pass IPv4-compatible and site-local IPv6, and Azure's host
                  address). The peer of the connected socket
                  is checked once more before a byte is sent. It holds a second handle of the socket, by which the
                  deadline ends any state.
    `client`      runs the exchange in a thread, so that even a look-up that hangs does not hold the caller; follows
                  redirects itself, when asked, each hop checked like the first and without credentials for another
                  origin; reads decoded bytes up to the limit and closes the connection.

What fails how
    `BadRequest` and `Refused` and `RedirectRefused` are final. `Unreachable` may pass. `TimedOut` is an unknown
    outcome: repeat only what is idempotent, or carries a key that makes it so.

What it cannot know
    A network whose own routes translate public addresses to inner ones (NAT64 with a prefix of its own): there the
    firewall must refuse.
"""

from core.later import load_later

load_later("chardet", "charset_normalizer")   # 2.5 MiB of tables, by which requests guesses an encoding that is not given

from core.outgoing.client import Response, check, check_headers, request, user_agent  # noqa: E402  it imports requests
from core.outgoing.errors import BadRequest, OutgoingError, RedirectRefused, Refused, TimedOut, Unreachable  # noqa: E402

__all__ = [
    "BadRequest",
    "OutgoingError",
    "RedirectRefused",
    "Refused",
    "Response",
    "TimedOut",
    "Unreachable",
    "check",
    "check_headers",
    "request",
    "user_agent",
]
