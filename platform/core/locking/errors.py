"""What the platform says about named locks. The library's errors become these at one edge, `translated`."""

from collections.abc import Iterator
from contextlib import contextmanager

from core.errors import PlatformError
from core.locking.vetting import Unfit
from locks import LockStoreUnavailable, LockUnknown, Row, State


class LockNotFound(PlatformError):
    """There is no lock of that name."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"there is no lock {name!r}: it was never used, or was purged")


class GrantOver(PlatformError):
    """The grant that should be ended has ended already; nobody else's was touched. `row` is the lock as it is now."""

    def __init__(self, name: str, token: int, row: Row | None) -> None:
        self.name, self.token, self.row = name, token, row
        if row is not None and row.state == State.HELD:
            now = f"{row.owner} has it now, with token {row.fence}, and keeps it"
        else:
            now = "nobody has it now"
        super().__init__(f"the grant of lock {name!r} with token {token} is over already: {now}")


class LocksAway(PlatformError):
    """The store of locks did not answer, and nothing was changed."""

    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__("the store of locks does not answer, and nothing was changed: try again in a moment")


class LockOutcomeUnknown(PlatformError):
    """A change was sent, and nobody knows whether it took effect."""

    def __init__(self, name: str, why: str) -> None:
        self.name, self.why = name, why
        super().__init__(f"nobody knows yet whether lock {name!r} was changed: look at it, and ask again with the same token")


@contextmanager
def translated() -> Iterator[None]:
    """Turn errors of the library into the platform's."""
    try:
        yield
    except LockUnknown as exc:
        raise LockOutcomeUnknown(exc.name, exc.why) from exc
    except LockStoreUnavailable as exc:
        raise LocksAway(exc.why) from exc
    except Unfit as exc:
        raise LocksAway(str(exc)) from exc
