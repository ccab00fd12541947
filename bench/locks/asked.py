"""What is asked of our locks beside bare LWTs and the common design, and whether a run shows it."""

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from bench.locks.cases import PROCESSES
from bench.locks.measure import Figures

Key = tuple[str, str, str]   # Paxos, case, design
Measured = Mapping[Key, Sequence[Figures]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One thing that is asked, and what was found."""

    paxos: str
    case: str
    what: str
    found: float
    bound: float
    at_most: bool

    @property
    def holds(self) -> bool:
        return self.found <= self.bound if self.at_most else self.found >= self.bound

    def __str__(self) -> str:
        return (
            f"{'ok ' if self.holds else 'NO '} {self.paxos} {self.case:9} {self.what}: {self.found:.2f} "
            f"(asked: {'at most' if self.at_most else 'at least'} {self.bound:.2f})"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wish:
    case: str
    what: str
    bound: float
    at_most: bool
    of: Callable[[Figures], float]
    beside: str
    """The design that ours is divided by; "": nothing, it is a figure of ours alone."""


WISHES = (
    _Wish(case="warm", what="p50 to that of the common design", bound=0.6, at_most=True, of=lambda each: each.p50_ms, beside="seed"),
    _Wish(
        case="warm", what="statements to those of the common design", bound=0.5, at_most=True,
        of=lambda each: each.statements_per_pair, beside="seed",
    ),
    _Wish(case="warm", what="p50 to that of two bare LWTs", bound=1.15, at_most=True, of=lambda each: each.p50_ms, beside="raw"),
    _Wish(case="cold", what="p50 to that of the common design", bound=1.0, at_most=True, of=lambda each: each.p50_ms, beside="seed"),
    _Wish(
        case="64 names", what="pairs a second to those of bare LWTs", bound=1 / 1.15, at_most=False,
        of=lambda each: each.pairs_per_s, beside="raw",
    ),
    _Wish(
        case="1 name", what="pairs a second to those of the common design", bound=1.0, at_most=False,
        of=lambda each: each.pairs_per_s, beside="seed",
    ),
    _Wish(
        case="1 name", what="the least of a process to its share", bound=0.5, at_most=False,
        of=lambda each: each.least_of_a_process / (each.pairs / PROCESSES), beside="",
    ),
)


def judged(measured: Measured) -> Iterator[Asked]:
    """Yield each thing that is asked of what was measured."""
    for paxos in dict.fromkeys(key[0] for key in measured):
        for wish in WISHES:
            if (paxos, wish.case, "ours") not in measured:
                continue
            if wish.beside:
                found = ratio(measured, paxos, wish.case, wish.beside, wish.of)
            else:
                found = statistics.median(map(wish.of, measured[paxos, wish.case, "ours"]))
            yield Asked(paxos=paxos, case=wish.case, what=wish.what, found=found, bound=wish.bound, at_most=wish.at_most)


def ratio(measured: Measured, paxos: str, case: str, design: str, of: Callable[[Figures], float]) -> float:
    """Return ours to that design's, as the median of the rounds' own ratios."""
    ours, theirs = measured[paxos, case, "ours"], measured[paxos, case, design]
    return statistics.median(of(mine) / of(other) for mine, other in zip(ours, theirs, strict=True))
