"""What a run has found, and what its figures come to."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from bench.locks.asked import Key, Measured, ratio
from bench.locks.cases import Case
from bench.locks.measure import Figures
from bench.locks.tracing import Traced

NOTES = (
    "ours: the locks of this house, as users call them.",
    "common: a row with a sequence and a row with owner and expire_at, as it is commonly built; asked through the very same connection.",
    "bare: two LWTs on one row, the floor under any lock.",
    "warm and cold: one process, the designs taking turns every half second. Ratios are medians of the rounds' own ratios.",
    "64 names: eight processes with eight names each.",
    "1 name: eight processes that all want the same one, for a minute; bare LWTs keep nobody out: only what a row can do.",
    "Three nodes and all clients share the cores of one machine, without a network between them: compare, do not quote.",
)
SHOWN = {"ours": "ours", "seed": "common", "raw": "bare"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """All that a run has found."""

    machine: Mapping[str, Any]
    options: Mapping[str, Any]
    cases: Sequence[Case]
    measured: dict[Key, list[Figures]]
    traced: dict[str, list[Traced]]


def summary(measured: Measured) -> Iterator[dict[str, Any]]:
    """Yield the medians of each case and design, with ours to it in time and in speed."""
    for (paxos, case, design), found in measured.items():
        medians = {each.name: statistics.median(getattr(one, each.name) for one in found) for each in fields(Figures)}
        beside = {
            "ours_time_to_it": ratio(measured, paxos, case, design, lambda each: each.p50_ms),
            "ours_speed_to_it": ratio(measured, paxos, case, design, lambda each: each.pairs_per_s),
        } if (paxos, case, "ours") in measured else {}
        yield {"paxos": paxos, "case": case, "design": SHOWN[design], **medians, **beside}
