"""The store on PostgreSQL."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import psycopg

from locks.answers import Answer, Applied, NotDone, Refused
from locks.changes import Change, Create, RaiseFloor
from locks.errors import NoAnswer
from locks.events import Event
from locks.row import Row, State
from locks.stores.postgresql import statements
from locks.stores.postgresql.connection import Connections, NotConnected, classify

CONNECTIONS = 8
ATTEMPT_SECONDS = 1.0
SHORTEST_LEASE_SECONDS = 1.0


class PostgresqlStore:
    """Rows in schema `locks` of one database, made by `create_schema`."""

    def __init__(
        self, url: str, *, namespace: str = "default", attempt_seconds: float = ATTEMPT_SECONDS, connections: int = CONNECTIONS,
        shortest_lease_seconds: float = SHORTEST_LEASE_SECONDS,
    ) -> None:
        self.namespace, self.attempt_seconds, self.shortest_lease_seconds = namespace, attempt_seconds, shortest_lease_seconds
        self._connections = Connections(url, most=connections)

    def attempt(self, change: Change, *, number: int, timeout_seconds: float) -> Answer:   # noqa: ARG002  there is one server
        try:
            with self._connections.one(seconds=timeout_seconds) as connection:
                results = _results(connection.execute(
                    statements.CHANGES[type(change)].encode(), statements.values(change, self.namespace),
                ))
        except NotConnected as exc:
            return NotDone(str(exc))
        except psycopg.Error as exc:
            return classify(exc)
        if isinstance(change, RaiseFloor):
            return Applied() if results[0] else Refused(None)
        if isinstance(change, Create):
            inserted, rows = results
            if not inserted and not rows:
                return NotDone("the row that stood in the way was deleted at the same moment")
        else:
            rows, inserted = results
        return Applied() if inserted else Refused(_row(rows[0]) if rows else None)

    def read(self, name: str, *, number: int, timeout_seconds: float) -> Row | None:   # noqa: ARG002  as above
        rows = self._select(statements.READ, timeout_seconds, name=name)
        return _row(rows[0]) if rows else None

    look = read    # an ordinary SELECT locks nothing and waits for nobody

    def floor(self, *, number: int, timeout_seconds: float) -> int:   # noqa: ARG002  as above
        rows = self._select(statements.FLOOR, timeout_seconds)
        return int(rows[0][0]) if rows else 0

    def names(self, *, prefix: str, after: str, limit: int, timeout_seconds: float) -> list[str]:
        return [row[0] for row in self._select(statements.NAMES, timeout_seconds, prefix=prefix, after=after, limit=limit)]

    def record(self, event: Event, *, timeout_seconds: float) -> None:
        self._select(statements.RECORD, timeout_seconds, **asdict(event))

    def events(self, name: str, *, limit: int, timeout_seconds: float) -> list[Event]:
        rows = self._select(statements.EVENTS, timeout_seconds, name=name, limit=limit)
        return [
            Event(id=key, at=at, name=about, kind=kind, token=token, actor=actor, reason=reason)
            for key, at, about, kind, token, actor, reason in rows
        ]

    def close(self) -> None:
        self._connections.close()

    def _select(self, statement: str, seconds: float, **values: Any) -> Sequence[Any]:
        try:
            with self._connections.one(seconds=seconds) as connection:
                cursor = connection.execute(statement.encode(), {**values, "namespace": self.namespace})
                return cursor.fetchall() if cursor.description else []
        except NotConnected as exc:
            raise NoAnswer(str(exc)) from exc
        except psycopg.Error as exc:
            raise NoAnswer(classify(exc).why) from exc


def _results(cursor: psycopg.Cursor[Any]) -> list[list[Any]]:
    """Return the rows of each statement that was sent at once."""
    results = [cursor.fetchall()]
    while cursor.nextset():
        results.append(cursor.fetchall())
    return results


def _row(values: Sequence[Any]) -> Row:
    state, fence, hb, nonce, owner, lease_ms, since_ms = values
    return Row(state=State(state), fence=fence, hb=hb, nonce=nonce, owner=owner, lease_ms=lease_ms, since_ms=since_ms)
