"""Make a store from an address, as settings give it."""

from urllib.parse import urlsplit

from locks.store import Store


def open_store(url: str, *, namespace: str = "default") -> Store:
    """Return the store at `memory://`, `postgresql://…` or `cassandra://host,host/keyspace?…`; its driver is imported now."""
    scheme = urlsplit(url).scheme
    match scheme:
        case "memory":
            from locks.stores.memory import MemoryStore  # noqa: PLC0415  each store's driver only for those who use it

            return MemoryStore(namespace)
        case "postgresql" | "postgres":
            from locks.stores.postgresql import PostgresqlStore  # noqa: PLC0415  as above

            return PostgresqlStore(url, namespace=namespace)
        case "cassandra":
            from locks.stores.cassandra import CassandraStore  # noqa: PLC0415  as above

            return CassandraStore(url, namespace=namespace)
    raise ValueError(f"no store of locks has an address that begins with {scheme!r}: memory, postgresql or cassandra")
