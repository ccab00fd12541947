"""What is measured: who does what, and in which order the designs take their turns."""

from collections.abc import Iterator
from dataclasses import dataclass

from bench.locks.measure import Slice, Work
from bench.locks.pairs import fresh
from locks.stores.cassandra import Address

NAMES, PROCESSES = 64, 8
FEW = 12   # names are led by different nodes, and no node is like the others
DESIGNS = ("raw", "ours", "seed")
SLICE_SECONDS, COLD_TURNS = 0.5, 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A way to use locks. `seconds` are those of a round of each design."""

    name: str
    title: str
    processes: int
    names: int
    """0: a new one for each pair."""
    seconds: float
    rounds: int
    together: bool
    """Designs take turns within a round, every half second, so that a ratio is one of the same seconds."""

    def works(self, address: Address) -> list[Work]:
        """Return what each process does; many names are shared out, one name is everybody's."""
        namespace, names = fresh(), tuple(f"name-{number}" for number in range(self.names))
        shares = [names[first::self.processes] if self.names > 1 else names for first in range(self.processes)]
        contended = self.processes > 1 and self.names == 1
        return [Work(address=address, namespace=namespace, names=share, warm=not contended) for share in shares]

    def slices(self) -> Iterator[Slice]:
        """Yield whose turn it is; who begins changes, so that nobody always comes after the same one."""
        several = max(1, round(self.seconds / SLICE_SECONDS)) if self.together else 1
        for number in range(self.rounds):
            for turn in range(several):
                first = (number + turn) % len(DESIGNS)
                for design in (*DESIGNS[first:], *DESIGNS[:first]):
                    yield Slice(
                        design=design, round=number, seconds=self.seconds / several if self.names else self.seconds,
                        turns=10**9 if self.names else COLD_TURNS,
                    )


def cases(*, seconds: float, rounds: int, minute: float) -> dict[str, Case]:
    """Return the cases by their names."""
    found = (
        Case(
            name="warm", title="One process, twelve names that it has used before", processes=1, names=FEW, seconds=seconds,
            rounds=rounds, together=True,
        ),
        Case(
            name="cold", title="One process, each name for the first time ever", processes=1, names=0, seconds=seconds,
            rounds=rounds, together=True,
        ),
        Case(
            name="64 names", title="Eight processes with eight names each, used before", processes=PROCESSES, names=NAMES,
            seconds=seconds, rounds=rounds, together=False,
        ),
        Case(
            name="1 name", title="Eight processes that all want one name", processes=PROCESSES, names=1, seconds=minute, rounds=1,
            together=False,
        ),
    )
    return {case.name: case for case in found}
