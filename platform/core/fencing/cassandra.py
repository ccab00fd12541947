"""Rows in Cassandra that compare tokens, by one conditional statement a write.

The table has a column `fence bigint`, and nothing but this class writes it: an unconditional write, or one with a time to
live, would pass by the comparison. The driver is imported at the first use.
"""

import random
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

from core.errors import PlatformError
from core.fencing.errors import StaleToken
from locks.answers import Applied
from locks.stores.cassandra import Address
from locks.stores.cassandra.connection import Connection

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*\Z")
LONGEST_PAUSE = 0.5


class WriteUnknown(PlatformError):
    """The time was over before it was certain whether the row was written. Write the same again, under the same token,
    and nothing else before that: a late copy of it may still arrive.
    """

    def __init__(self, table: str, why: str) -> None:
        self.table, self.why = table, why
        super().__init__(f"nobody knows yet whether a row of {table} was written: {why}")


class FencedTable:
    """A table of which each row is written under a token."""

    def __init__(self, address: Address | str, *, table: str, key: Sequence[str], values: Sequence[str]) -> None:
        """Take the names of the key's columns and of those that are written; each write gives all of them."""
        for name in (table, *key, *values):
            if not NAME.match(name):
                raise ValueError(f"{name!r} is no plain name of a table or a column")
        self._table = table
        where = " AND ".join(f"{column} = :{column}" for column in key)
        columns, whole = [*key, *values, "fence"], f"{{keyspace}}.{table}"    # the connection puts in its address's keyspace
        texts = {
            "write": f"UPDATE {whole} SET {', '.join(f'{column} = :{column}' for column in (*values, 'fence'))}"
                     f" WHERE {where} IF fence <= :fence",
            # on a missing row every comparison is false
            "create": f"INSERT INTO {whole} ({', '.join(columns)}) VALUES ({', '.join(f':{column}' for column in columns)})"
                      " IF NOT EXISTS",
            "read": f"SELECT {', '.join(columns)} FROM {whole} WHERE {where}",
        }
        parsed = Address.parse(address) if isinstance(address, str) else address
        self._connection = Connection(parsed, texts=texts, serial=frozenset({"read"}))

    def write(self, key: Mapping[str, Any], values: Mapping[str, Any], *, token: int, timeout_seconds: float = 10.0) -> None:
        """Write under the token; raise StaleToken, or WriteUnknown when no answer was definite in time."""
        from locks.stores.cassandra.answers import Rejected, classify  # noqa: PLC0415  the driver comes with the first use

        end, bound, why, number, statement = time.monotonic() + timeout_seconds, {**key, **values, "fence": token}, "", 0, "write"
        while (left := end - time.monotonic()) > 0:
            try:
                signal: object = self._connection.ask(
                    statement, bound, number=number, timeout_seconds=min(left, self._connection.address.attempt_seconds),
                )
            except Exception as exc:   # noqa: BLE001  what it means is said by classify, which raises faults of ours again
                signal = exc
            match classify(signal):
                case Applied():
                    return
                case Rejected(cells):
                    if (seen := cells.get("fence")) is not None and seen > token:
                        raise StaleToken(f"{self._table} {dict(key)}", token=token, seen=seen)
                    statement = "create" if seen is None else "write"    # made by somebody else between two statements
                case other:
                    why, number = other.why, number + 1
                    time.sleep(random.uniform(0.01, LONGEST_PAUSE))   # noqa: S311  spreads load, keeps no secret
        raise WriteUnknown(self._table, why or "there was no time to ask")

    def read(self, key: Mapping[str, Any], *, timeout_seconds: float = 10.0) -> dict[str, Any] | None:
        """Return the row as it certainly is; raise what the driver says when it does not answer."""
        rows = self._connection.ask("read", key, number=0, timeout_seconds=timeout_seconds)
        return rows[0] if rows else None

    def close(self) -> None:
        self._connection.close()
