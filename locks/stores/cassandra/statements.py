"""Every statement that may touch the row of a lock, as text to be prepared.

What a real server does with conditions, and what follows from it:

- `!=` is true of a null cell and of a missing row: an UPDATE with nothing else in its condition would make a ghost row.
  So each condition has at least one `=` or `<` with a value, and no cell of a row is ever null.
- `<` and `>=` are false of a null cell: a column that a row lacks could never be granted again. `create` writes all.
- A refused statement returns the columns of its condition, by name and in no promised place. So each names all seven.
- `token` is a reserved word, hence `fence`.
"""

import uuid
from collections.abc import Mapping
from typing import Any

from locks import changes
from locks.changes import Change
from locks.row import State

ALWAYS = {   # true of every row of ours, so that a refusal returns these columns too
    "state": "state >= 0", "fence": "fence >= 0", "hb": "hb >= 0", "nonce": f"nonce != {uuid.UUID(int=0)}", "owner": "owner != ''",
    "lease_ms": "lease_ms >= 0", "since_ms": "since_ms >= 0",
}
COLUMNS = ", ".join(ALWAYS)
WHERE = "WHERE ns = :ns AND name = :name"


def _where(**decisive: str) -> str:
    """Return the row and a condition that is decided by these columns and shows all of them."""
    condition = {**ALWAYS, **decisive}
    return f"{WHERE} IF {' AND '.join(condition.values())}"


_SEEN = {column: f"{column} = :seen_{column}" for column in ("state", "fence", "hb", "nonce")}
_HELD = {"state": f"state = {State.HELD:d}", "fence": "fence = :fence"}
_MINE = {**_HELD, "nonce": "nonce = :nonce"}
_GRANT = (
    f"UPDATE {{keyspace}}.locks SET state = {State.HELD:d}, fence = :fence, hb = 0, nonce = :nonce, owner = :owner, "
    "lease_ms = :lease_ms, since_ms = :since_ms"
)
_UPDATE = "UPDATE {keyspace}.locks SET"

CHANGES: Mapping[type[Change], str] = {
    changes.Acquire: f"{_GRANT} {_where(state=f'state = {State.FREE:d}', fence='fence < :fence')}",
    changes.AcquireExact: f"{_GRANT} {_where(**_SEEN)}",
    changes.Create: (
        f"INSERT INTO {{keyspace}}.locks (ns, name, {COLUMNS}) "
        f"VALUES (:ns, :name, {State.NEW:d}, 0, 0, :nonce, :owner, 0, 0) IF NOT EXISTS"
    ),
    changes.Renew: f"{_UPDATE} hb = :next_hb {_where(**_MINE, hb='hb = :hb')}",
    changes.Release: f"{_UPDATE} state = {State.FREE:d} {_where(**_MINE)}",
    changes.Reap: f"{_UPDATE} state = {State.FREE:d} {_where(**_SEEN)}",
    changes.ForceRelease: (
        f"{_UPDATE} state = {State.FREE:d}, fence = :next_fence, hb = 0, nonce = :nonce, owner = :owner {_where(**_HELD)}"
    ),
    changes.Retire: f"{_UPDATE} state = {State.RETIRED:d} {_where(**_SEEN)}",
    changes.Bury: f"DELETE FROM {{keyspace}}.locks {_where(**_SEEN)}",
    changes.RaiseFloor: "UPDATE {keyspace}.lock_namespaces SET floor = :fence WHERE ns = :ns IF floor < :fence",
}

READ = f"SELECT {COLUMNS} FROM {{keyspace}}.locks {WHERE}"
NAMESPACE = "SELECT floor, serial FROM {keyspace}.lock_namespaces WHERE ns = :ns"
FIRST = "INSERT INTO {keyspace}.lock_namespaces (ns, floor, serial) VALUES (:ns, :fence, :serial) IF NOT EXISTS"

# Names are written beside the rows, without a condition. Their order is that of the tokens, not that of clocks: a burial
# deletes a name as of its last token, which is below the first token of the row that is created next under it.
LIST = "INSERT INTO {keyspace}.lock_names (ns, bucket, name) VALUES (:ns, :bucket, :name) USING TIMESTAMP :as_of"
UNLIST = "DELETE FROM {keyspace}.lock_names USING TIMESTAMP :as_of WHERE ns = :ns AND bucket = :bucket AND name = :name"
NAMES = "SELECT name FROM {keyspace}.lock_names WHERE ns = :ns AND bucket = :bucket AND name > :after LIMIT :count"
NAMES_FROM = "SELECT name FROM {keyspace}.lock_names WHERE ns = :ns AND bucket = :bucket AND name >= :after LIMIT :count"

RECORD = (
    "BEGIN BATCH "
    "INSERT INTO {keyspace}.lock_events (ns, name, id, at_us, kind, fence, actor, reason) "
    "VALUES (:ns, :name, :id, :at_us, :kind, :fence, :actor, :reason); "
    "INSERT INTO {keyspace}.lock_events_by_month (ns, month, id, at_us, name, kind, fence, actor, reason) "
    "VALUES (:ns, :month, :id, :at_us, :name, :kind, :fence, :actor, :reason); "
    "INSERT INTO {keyspace}.lock_event_months (ns, month) VALUES (:ns, :month); "
    "APPLY BATCH"
)
_EVENTS = "SELECT id, at_us, name, kind, fence, actor, reason FROM {keyspace}."
EVENTS = f"{_EVENTS}lock_events WHERE ns = :ns AND name = :name LIMIT :count"
MONTHS = "SELECT month FROM {keyspace}.lock_event_months WHERE ns = :ns"
EVENTS_OF_MONTH = f"{_EVENTS}lock_events_by_month WHERE ns = :ns AND month = :month LIMIT :count"


def values(change: Change) -> dict[str, Any]:
    """Return what a change binds, by the names in its statement."""
    found = {name: getattr(change, name) for name in change.__dataclass_fields__}
    if seen := found.pop("seen", None):
        found |= {f"seen_{column}": value for column, value in zip(("state", "fence", "hb", "nonce"), seen, strict=True)}
        found["seen_state"] = int(found["seen_state"])
    if isinstance(change, changes.Renew):
        found["next_hb"] = change.hb + 1
    if isinstance(change, changes.ForceRelease):
        found["next_fence"] = change.fence + 1
    return found
