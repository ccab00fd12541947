"""What a cluster's Paxos promises of a decision that few replicas have in their tables yet.

How soon an LWT is answered rests on it: on how many replicas it has to be committed before that. Cassandra says of
`paxos_state_purging: repaired` (`Config.java`) that it "permits the use of Commit consistency ANY or LOCAL_QUORUM without any
loss of durability or consistency", as long as decisions are finished before nodes come and go.
"""

import enum
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

NAMES = (
    "paxos_variant", "paxos_state_purging", "paxos_repair_enabled", "skip_paxos_repair_on_topology_change",
    "skip_paxos_repair_on_topology_change_keyspaces",
)
SETTINGS = f"SELECT name, value FROM system_views.settings WHERE name IN ({', '.join(map(repr, NAMES))})"


class Paxos(enum.IntEnum):
    """Each promises what those below it do. What cannot be learned counts as V1, which is never wrong."""

    V1 = 1
    """The next LWT of a row begins anew when a quorum has not learned the last one."""
    V2 = 2
    """The next LWT finds a decision wherever it is, and finishes it; until Paxos forgets, which is days later."""
    KEPT = 3
    """And it is not forgotten before a quorum has it in its tables, also when nodes come and go."""


def promised(session: Any, hosts: Iterable[Any], *, timeout_seconds: float) -> Paxos:
    """Ask all these nodes at once, once a connection, and return what each of them promises.

    That all run the same Paxos, also later, is for `checks` to see.
    """
    asked = []
    for host in hosts:
        try:
            asked.append(session.execute_async(SETTINGS, timeout=timeout_seconds, host=host))
        except Exception:  # noqa: BLE001  it is down
            asked.append(None)
    return agreed([_told(each) for each in asked])


def agreed(told: Sequence[Mapping[str, str] | None]) -> Paxos:
    """Return what all nodes promise by their settings. One that says nothing (None) may be one that forgets."""
    if all(each is None for each in told):
        return Paxos.V1
    return min(Paxos.V2 if each is None else _promise(each) for each in told)


def _promise(settings: Mapping[str, str]) -> Paxos:
    if settings.get("paxos_variant") != "v2":
        return Paxos.V1
    return Paxos.KEPT if settings.get("paxos_state_purging") == "repaired" and not leaves_open(settings) else Paxos.V2


def leaves_open(settings: Mapping[str, str]) -> bool:
    """Tell whether a node with these settings leaves decisions unfinished when nodes come and go."""
    return (
        settings.get("paxos_repair_enabled", "true") != "true"
        or settings.get("skip_paxos_repair_on_topology_change", "false") != "false"
        or settings.get("skip_paxos_repair_on_topology_change_keyspaces") not in {None, "", "[]"}
    )


def _told(asked: Any) -> Mapping[str, str] | None:
    try:
        return {row["name"]: row["value"] for row in asked.result()} if asked else None
    except Exception:  # noqa: BLE001  an account may not read it, a node may not answer
        return None
