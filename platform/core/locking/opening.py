"""Open the store of locks that the settings name."""

from django.conf import settings
from django.db import connections
from psycopg.conninfo import make_conninfo

from core.locking.metrics import OBSERVER
from core.locking.vetting import vetted
from locks import Locks, Observer
from locks.stores.opening import open_store
from locks.stores.postgresql import PostgresqlStore

# Django's own members of the parameters, which libpq does not know.
DJANGOS = ("context", "cursor_factory", "prepare_threshold", "server_side_binding", "pool", "assume_role", "isolation_level")


def open_locks(*, owner: str = "", observer: Observer | None = None) -> Locks:
    """Return locks in the store at LOCKS_URL; without one they stand in the database of the jobs.

    Nothing is connected yet; a cluster is looked over before its first lock (`vetting`). Make one for a process, and close it with the process. What happens is counted, unless another
    observer is given.
    """
    observer = observer or OBSERVER
    if settings.LOCKS_URL:
        return Locks(vetted(open_store(settings.LOCKS_URL)), owner=owner, observer=observer)
    return Locks(PostgresqlStore(database_address()), owner=owner, observer=observer)


def database_address() -> str:
    """Return the database of the jobs as libpq takes it."""
    params = {name: value for name, value in connections["default"].get_connection_params().items() if name not in DJANGOS}
    return make_conninfo("", **{**params, "application_name": "latchwork locks"})
