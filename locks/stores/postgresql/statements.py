"""Every statement that may touch a row: one per change, with its condition."""

from dataclasses import fields
from typing import Any

from locks.changes import (
    Acquire,
    AcquireExact,
    Bury,
    Change,
    Create,
    ForceRelease,
    RaiseFloor,
    Reap,
    Release,
    Renew,
    Retire,
)

COLUMNS = "state, fence, hb, nonce, owner, lease_ms, since_ms"
KEY = "namespace = %(namespace)s AND name = %(name)s"
EXACT = f"{KEY} AND state = %(seen_state)s AND fence = %(seen_fence)s AND hb = %(seen_hb)s AND nonce = %(seen_nonce)s"
MINE = f"{KEY} AND state = 1 AND fence = %(fence)s AND nonce = %(nonce)s"
GRANT = (
    "UPDATE locks.lock SET state = 1, fence = %(fence)s, hb = 0, nonce = %(nonce)s, owner = %(owner)s,"
    " lease_ms = %(lease_ms)s, since_ms = %(since_ms)s"
)
READ = f"SELECT {COLUMNS} FROM locks.lock WHERE {KEY}"
# locked before it is changed: what is shown is then what the condition is evaluated on
LOCKED = f"{READ} FOR NO KEY UPDATE;"
CHANGES: dict[type[Change], str] = {
    Acquire: f"{LOCKED} {GRANT} WHERE {KEY} AND state = 0 AND fence < %(fence)s RETURNING 1",
    AcquireExact: f"{LOCKED} {GRANT} WHERE {EXACT} RETURNING 1",
    # here the insert comes first: it locks the key even where no row is
    Create: (
        "INSERT INTO locks.lock (namespace, name, state, fence, hb, nonce, owner, lease_ms, since_ms)"
        " VALUES (%(namespace)s, %(name)s, 3, 0, 0, %(nonce)s, %(owner)s, 0, 0) ON CONFLICT DO NOTHING RETURNING 1;"
        f" {READ}"
    ),
    Renew: f"{LOCKED} UPDATE locks.lock SET hb = hb + 1 WHERE {MINE} AND hb = %(hb)s RETURNING 1",
    Release: f"{LOCKED} UPDATE locks.lock SET state = 0 WHERE {MINE} RETURNING 1",
    Reap: f"{LOCKED} UPDATE locks.lock SET state = 0 WHERE {EXACT} RETURNING 1",
    ForceRelease: (
        f"{LOCKED} UPDATE locks.lock SET state = 0, fence = fence + 1, hb = 0, nonce = %(nonce)s, owner = %(owner)s"
        f" WHERE {KEY} AND state = 1 AND fence = %(fence)s RETURNING 1"
    ),
    Retire: f"{LOCKED} UPDATE locks.lock SET state = 2 WHERE {EXACT} RETURNING 1",
    Bury: f"{READ} FOR UPDATE; DELETE FROM locks.lock WHERE {EXACT} RETURNING 1",
    RaiseFloor: (
        "INSERT INTO locks.floor (namespace, floor) VALUES (%(namespace)s, %(fence)s) ON CONFLICT (namespace)"
        " DO UPDATE SET floor = excluded.floor WHERE floor.floor < excluded.floor RETURNING 1"
    ),
}
FLOOR = "SELECT floor FROM locks.floor WHERE namespace = %(namespace)s"
NAMES = (
    "SELECT name FROM locks.lock WHERE namespace = %(namespace)s AND name > %(after)s AND starts_with(name, %(prefix)s)"
    " AND name >= %(prefix)s ORDER BY name LIMIT %(limit)s"
)
RECORD = (
    "INSERT INTO locks.event (id, namespace, at, name, kind, token, actor, reason)"
    " VALUES (%(id)s, %(namespace)s, %(at)s, %(name)s, %(kind)s, %(token)s, %(actor)s, %(reason)s) ON CONFLICT DO NOTHING"
)
EVENTS = (
    "SELECT id, at, name, kind, token, actor, reason FROM locks.event WHERE namespace = %(namespace)s"
    " AND (%(name)s = '' OR name = %(name)s) ORDER BY number DESC LIMIT %(limit)s"
)


def values(change: Change, namespace: str) -> dict[str, Any]:
    """Return the change's fields by the names that its statement uses."""
    named = {field.name: getattr(change, field.name) for field in fields(change)}
    seen = named.pop("seen", None)
    if seen is not None:
        named |= {f"seen_{column}": value for column, value in seen._asdict().items()}
        named["seen_state"] = int(seen.state)
    return {**named, "namespace": namespace}
