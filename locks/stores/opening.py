"""Make a store from an address, as settings give it."""

from urllib.parse import urlsplit

from locks.store import Store


def open_store(url: str, *, namespace: str = "default") -> Store:
    """Return the store at `memory://`, `postgresql://…` or `cassandra://host,host/keyspace?…`; its driver is imported now."""
    match _scheme(url):
        case "memory":
            from locks.stores.memory import MemoryStore  # noqa: PLC0415  each store's driver only for those who use it

            return MemoryStore(namespace)
        case "postgresql":
            from locks.stores.postgresql import PostgresqlStore  # noqa: PLC0415  as above

            return PostgresqlStore(url, namespace=namespace)
        case _:
            from locks.stores.cassandra import CassandraStore  # noqa: PLC0415  as above

            return CassandraStore(url, namespace=namespace)


def create_schema(url: str, *, replicas: dict[str, int] | int = 3) -> None:
    """Make the tables that are missing at an address; any number of processes may do so at once.

    `replicas`, of a cluster, counts for a keyspace that is made now: one number, or one for each data centre.
    """
    match _scheme(url):
        case "postgresql":
            from locks.stores.postgresql import create_schema as create  # noqa: PLC0415  as above

            create(url)
        case "cassandra":
            from locks.stores.cassandra import Address, schema  # noqa: PLC0415  as above

            schema.apply(Address.parse(url), factors=replicas)


def _scheme(url: str) -> str:
    """Return which kind of store an address names; raise ValueError for one that is none."""
    scheme = {"postgres": "postgresql"}.get(urlsplit(url).scheme, urlsplit(url).scheme)
    if scheme not in {"memory", "postgresql", "cassandra"}:
        raise ValueError(f"no store of locks has an address that begins with {scheme!r}: memory, postgresql or cassandra")
    return scheme
