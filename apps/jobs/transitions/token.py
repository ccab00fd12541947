"""Write down under which lock's token an attempt will run, before it begins."""

from collections.abc import Sequence
from typing import NamedTuple

from apps.jobs.lifecycle import Status
from apps.jobs.transitions.statement import Execute, Reply


class Note(NamedTuple):
    """The token that a claim got with its lock."""

    id: str
    fence: int
    token: int


# A row that somebody holds is passed over: whoever claimed it gives it back.
_NOTE = f"""
WITH held AS MATERIALIZED (
  SELECT j.id, n.token FROM unnest(%(ids)s::uuid[], %(fences)s::bigint[], %(tokens)s::bigint[]) AS n(id, fence, token)
  JOIN job j ON j.id = n.id AND j.fence = n.fence AND j.status || '' = '{Status.RUNNING.value}'
  ORDER BY j.id FOR NO KEY UPDATE OF j SKIP LOCKED)
UPDATE job j SET lock_token = held.token FROM held WHERE j.id = held.id RETURNING j.id::text, j.fence"""


def note(execute: Execute, notes: Sequence[Note]) -> Reply[set[tuple[str, int]]]:
    """Keep the tokens of claims; a missing one in the reply is no longer claimed so, or is held by somebody just now."""
    params = {
        "ids": [each.id for each in notes], "fences": [each.fence for each in notes], "tokens": [each.token for each in notes],
    }
    return Reply(execute(_NOTE, params), lambda rows: {(row[0], row[1]) for row in rows})
