"""What `/readyz` says of the store of locks.

It is named and asked, and a store that is away makes no web process unready: all but releasing a lock works without it, and
taking every web process out of service would make an outage of locks one of everything.
"""

from datetime import timedelta

from core.locking.shared import kind, shared
from core.observability import health

SECONDS = timedelta(seconds=1.8)   # less than a probe waits


def register() -> None:
    """Have `/readyz` ask."""
    health.register("locks", _ask, needed=False, about=kind)


def _ask() -> None:
    shared().floor(timeout=SECONDS)   # a question that only a majority can answer
