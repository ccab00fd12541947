"""What can become of a request that brings no answer. Messages leave out the query, where people put secrets."""

from urllib.parse import urlsplit

from core.errors import PlatformError

ALLOWING = "OUTGOING_ALLOW_PRIVATE=true"


def without_query(url: str) -> str:
    """Return an address as it may be shown: no user, no query, no fragment, not longer than a line."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return repr(url[:100])
    shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}" if parts.netloc else url.partition("?")[0]
    return ascii(shown)[1:-1][:200]


class OutgoingError(PlatformError):
    """The root: nothing usable came back from `url`."""

    def __init__(self, url: str, sentence: str) -> None:
        self.url = url
        super().__init__(sentence)


class BadRequest(OutgoingError):
    """The request itself cannot be sent; `part` says which argument to mend. Nothing was looked up or connected."""

    def __init__(self, url: str, *, part: str, reason: str) -> None:
        self.part = part
        self.reason = reason
        super().__init__(url, f"{part} {reason}")


class Refused(OutgoingError):
    """The address is one that requests from outside must not reach. Trying again changes nothing."""

    def __init__(self, url: str, *, address: str, reason: str) -> None:
        self.address = address
        self.reason = reason
        named = f"{without_query(url)} leads to {address}"
        super().__init__(url, f"refused: {named}, {reason} (to allow inner addresses set {ALLOWING})")


class RedirectRefused(OutgoingError):
    """The answer was a redirect that is not followed although redirects were asked for."""

    def __init__(self, url: str, *, target: str, reason: str) -> None:
        self.target = target
        self.reason = reason
        super().__init__(url, f"{without_query(url)} redirects to {without_query(target)}, which is refused: {reason}")


class Unreachable(OutgoingError):
    """No whole answer came: name unknown, connection refused or broken, certificate not trusted. It may come later."""

    def __init__(self, url: str, *, reason: str) -> None:
        self.reason = reason
        super().__init__(url, f"{without_query(url)} is unreachable: {reason}")


class TimedOut(OutgoingError):
    """The time was over before the answer was. The other side may have acted on the request: an unknown outcome."""

    def __init__(self, url: str, *, seconds: float) -> None:
        self.seconds = seconds
        super().__init__(url, f"{without_query(url)} gave no whole answer within {seconds:g} seconds")
