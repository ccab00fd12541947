"""What a cluster's Paxos promises of a decision that few replicas have in their tables yet.

How soon an LWT is answered rests on it: by how many replicas it has to be committed before that. Cassandra's own words
(`cassandra.yaml`): "With any v2 variant and paxos_state_purging: repaired it is safe to use ANY Commit consistency."
"""

import enum
from collections.abc import Iterable
from typing import Any

SETTINGS = "SELECT name, value FROM system_views.settings WHERE name IN ('paxos_variant', 'paxos_state_purging')"


class Paxos(enum.IntEnum):
    """Each promises what those below it do. What cannot be learned counts as V1, which is never wrong."""

    V1 = 1
    """The next LWT of a row begins anew when a quorum has not learned the last one."""
    V2 = 2
    """The next LWT finds a decision wherever it is, and finishes it; until Paxos forgets, which is days later."""
    KEPT = 3
    """And it is not forgotten before a quorum has it in its tables."""


def promised(session: Any, hosts: Iterable[Any], *, timeout_seconds: float) -> Paxos:
    """Ask all these nodes at once, once a connection, and return what each of them promises.

    One that does not answer may be one that forgets. That all run the same Paxos is for `checks` to see.
    """
    asked = []
    for host in hosts:
        try:
            asked.append(session.execute_async(SETTINGS, timeout=timeout_seconds, host=host))
        except Exception:  # noqa: BLE001  it is down
            asked.append(None)
    known = [told for each in asked if (told := _told(each)) is not None]
    if not known:
        return Paxos.V1
    return min(known) if len(known) == len(asked) else min(Paxos.V2, *known)


def _told(asked: Any) -> Paxos | None:
    try:
        settings = {row["name"]: row["value"] for row in asked.result()} if asked else {}
    except Exception:  # noqa: BLE001  an old version has no such table, an account may not read it, a node may not answer
        return None
    if "paxos_variant" not in settings:
        return None
    if settings["paxos_variant"] != "v2":
        return Paxos.V1
    return Paxos.KEPT if settings.get("paxos_state_purging") == "repaired" else Paxos.V2
