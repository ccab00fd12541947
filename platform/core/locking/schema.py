"""Make the tables of the locks in the store that the settings name."""

from collections.abc import Callable
from datetime import timedelta

from django.conf import settings

from core.errors import PlatformError
from core.locking.opening import database_address
from core.locking.shared import kind
from locks.stores.cassandra import schema as cassandra
from locks.stores.cassandra.address import Address
from locks.stores.postgresql import create_schema
from locks.stores.postgresql.schema import SCHEMA


class SchemaNotMade(PlatformError):
    """The tables could not be made."""

    def __init__(self, why: str) -> None:
        super().__init__(f"the tables of the locks could not be made: {why}")


def statements(*, replicas: dict[str, int] | int) -> list[str]:
    """Return what would be run, for those who run it themselves."""
    match kind():
        case "cassandra":
            address = Address.parse(settings.LOCKS_URL)
            return cassandra.statements(keyspace=address.keyspace, replication=cassandra.replication(replicas))
        case "postgresql":
            return [each.strip() for each in SCHEMA.split(";\n") if each.strip()]
    return []


def make(*, replicas: dict[str, int] | int, wait: timedelta, say: Callable[[str], None]) -> None:
    """Make what is missing; `replicas` and `wait` are for clusters. Raise `SchemaNotMade`."""
    try:
        match kind():
            case "cassandra":
                address = Address.parse(settings.LOCKS_URL)
                cassandra.apply(address, factors=replicas, wait_seconds=wait.total_seconds(), say=say)
            case "postgresql":
                create_schema(settings.LOCKS_URL or database_address())
    except Exception as exc:
        raise SchemaNotMade(str(exc).strip() or type(exc).__name__) from exc
