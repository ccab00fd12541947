"""What a fenced resource says to a stale writer."""

from core.errors import PlatformError


class StaleToken(PlatformError):
    """The resource has seen a higher token: its lock was granted to somebody else since. Stop; nothing was written."""

    def __init__(self, resource: str, *, token: int, seen: int | None = None) -> None:
        self.resource, self.token, self.seen = resource, token, seen
        higher = "a higher one" if seen is None else str(seen)
        super().__init__(f"{resource} refuses token {token}: it has seen {higher}")
