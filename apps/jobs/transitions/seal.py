"""Give stored payloads other sealed values; nothing else of a row changes, whoever holds the job."""

import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from apps.jobs.transitions.statement import Execute, Reply

# A window of the primary key at a time: without an index over payloads, this is what bounds each statement.
_WINDOW = """
WITH span AS MATERIALIZED (SELECT id FROM job WHERE id > %(after)s ORDER BY id LIMIT %(limit)s)
SELECT s.id, j.type, j.payload::text FROM span s
LEFT JOIN job j ON j.id = s.id AND jsonb_typeof(j.payload) = 'object'
  AND (j.type = ANY(%(types)s::text[]) OR j.payload @? '$.**{1 to 4}."$sealed"')
ORDER BY s.id"""

# A job that its handler holds in a transaction is left out: it would hold up all others.
_RESEAL = """
WITH given AS (
  SELECT id, members FROM unnest(%(ids)s::uuid[], %(members)s::jsonb[]) AS g(id, members)),
free AS MATERIALIZED (
  SELECT j.id FROM job j JOIN given g ON g.id = j.id ORDER BY j.id FOR NO KEY UPDATE OF j SKIP LOCKED)
UPDATE job j SET payload = j.payload || g.members FROM given g JOIN free f ON f.id = g.id WHERE j.id = g.id RETURNING j.id"""

FIRST = uuid.UUID(int=0)


class Held(NamedTuple):
    """A row of a window; of one that has nothing to seal, type and payload are None."""

    id: uuid.UUID
    type: str | None
    payload: str | None


def window(execute: Execute, *, after: uuid.UUID, types: Sequence[str], limit: int) -> Reply[list[Held]]:
    """Return the next rows by id, with the payloads that hold sealed values or are of `types`."""
    values = {"after": after, "types": list(types), "limit": limit}
    return Reply(execute(_WINDOW, values), lambda rows: [Held(*row) for row in rows])


def reseal(execute: Execute, members: Mapping[uuid.UUID, Mapping[str, Any]]) -> Reply[set[uuid.UUID]]:
    """Replace members of payloads, and return which jobs were free to be written."""
    texts = [json.dumps(each, ensure_ascii=False) for each in members.values()]
    return Reply(execute(_RESEAL, {"ids": list(members), "members": texts}), lambda rows: {row[0] for row in rows})
