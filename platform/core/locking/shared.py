"""The one `Locks` of a process that only looks at locks and ends them: the web, and commands."""

import atexit
import functools

from django.conf import settings
from django.db import connections

from core.locking.opening import open_locks
from locks import Locks


def shared() -> Locks:
    """Return the locks of the settings. Nothing is connected before the first question, and after a fork anew."""
    return _made(settings.LOCKS_URL, connections["default"].settings_dict["NAME"])


def close() -> None:
    """Give back the connections; the next use makes new ones."""
    for made in _MADE:
        made.close()
    _MADE.clear()
    _made.cache_clear()


def kind() -> str:
    """Return which store the settings name: `cassandra`, `postgresql` or `memory`."""
    scheme = settings.LOCKS_URL.partition(":")[0]
    return "postgresql" if scheme in {"", "postgres"} else str(scheme)


_MADE: list[Locks] = []


@functools.cache
def _made(url: str, database: str) -> Locks:  # noqa: ARG001  what it depends on
    made = open_locks()
    _MADE.append(made)
    return made


atexit.register(close)
