"""On whose behalf code runs."""

import getpass
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

LONGEST_REASON = 500   # that a person gives for what they do, wherever they do it


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Whoever does something. `asdict` of it fits into a job's payload, for what is done later on their behalf."""

    key: str            # what one is known by: token:1a2b3c4d, user:7, terminal:root, system
    name: str = ""
    role: str = ""
    channel: str = ""   # api, admin, command or system
    address: str = ""


SYSTEM = Actor(key="system", name="the platform", channel="system")
_current: ContextVar[Callable[[], Actor]] = ContextVar("actor", default=lambda: SYSTEM)
_reason: ContextVar[str] = ContextVar("reason", default="")


def current() -> Actor:
    """Return on whose behalf this code runs."""
    return _current.get()()


@contextmanager
def acting(actor: Actor | Callable[[], Actor]) -> Iterator[None]:
    """Let whatever happens inside be this actor's; a callable is asked when it is needed, after the log-in say."""
    token = _current.set(actor if callable(actor) else lambda: actor)
    try:
        yield
    finally:
        _current.reset(token)


@contextmanager
def because(reason: str) -> Iterator[None]:
    """Let whatever is told to the audit inside be told with this reason, which a person gave."""
    token = _reason.set(reason)
    try:
        yield
    finally:
        _reason.reset(token)


def reason_given() -> str:
    """Return why this code runs, if somebody said so."""
    return _reason.get()


def at_terminal() -> Actor:
    """Return whoever runs this command: whoever has a shell here has the database too, so the role is admin."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):   # a container's user may have no name
        name = "somebody"
    return Actor(key=f"terminal:{name}", name=name, role="admin", channel="command", address=socket.gethostname())
