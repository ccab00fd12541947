"""The locks of this house, and the same without one of the things that they rest on: each of those must be found out."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from locks import changes
from locks.locks import Locks
from locks.stores.cassandra import Address, CassandraStore
from locks.stores.cassandra.store import TEXTS


class Unguarded(CassandraStore):
    """Acquires on the state alone: a token is only as good as the clock of whoever guessed it."""

    texts: ClassVar[Mapping[Any, str]] = {
        **TEXTS, changes.Acquire: TEXTS[changes.Acquire].replace("fence < :fence", "fence >= 0"),
    }


def _made(kind: type[CassandraStore]) -> Callable[..., Locks]:
    def make(address: Address, *, namespace: str, **options: Any) -> Locks:
        return Locks(kind(address, namespace=namespace), **options)

    return make


DESIGNS: dict[str, Callable[..., Locks]] = {"ours": _made(CassandraStore), "unguarded": _made(Unguarded)}
