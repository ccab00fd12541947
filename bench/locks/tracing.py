"""What one acquire is on the wire and in the servers: statements counted on our side, and the servers' own traces of them."""

import collections
import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from bench.locks.pairs import PAIRS, fresh
from locks.stores.cassandra import Address

SECONDS = 10.0
PHASES = {   # what nodes say of the rounds of Paxos, v2 and v1
    "prepare": ("Promising", "Paxos: prepare", "PAXOS2_PREPARE_REQ message", "PAXOS_PREPARE_REQ message"),
    "propose": ("Accepting proposal", "PAXOS2_PROPOSE_REQ message", "PAXOS_PROPOSE_REQ message"),
    "commit": ("PAXOS_COMMIT_REQ message", "PAXOS2_COMMIT_AND_PREPARE_REQ message", "Committing proposal"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Traced:
    """One step, with the statements that were sent for it and what the nodes did."""

    design: str
    step: str
    statements: tuple[str, ...]
    requests: int
    """That servers have traced."""
    rounds: dict[str, int]
    """In how many of them each phase of Paxos was seen."""


@contextmanager
def _traced(session: Any) -> Iterator[list[Any]]:
    """Have the driver ask for a trace of all that is sent meanwhile."""
    sent: list[Any] = []
    plain = session.execute_async

    def execute_async(statement: Any, **options: Any) -> Any:
        sent.append(plain(statement, trace=True, **options))
        return sent[-1]

    session.execute_async = execute_async
    try:
        yield sent
    finally:
        session.execute_async = plain


def trace(address: Address, design: str) -> list[Traced]:
    """Acquire a name for the first time, once more, and after a release; trace each."""
    pair = PAIRS[design](address, fresh())
    try:
        session = pair.connection.session(SECONDS)
        pair.acquire("connected")
        pair.release()
        found = []
        acquire: Callable[[], None] = functools.partial(pair.acquire, "x")
        for step, call in (("cold acquire", acquire), ("release", pair.release), ("warm acquire", acquire)):
            pair.statements.clear()
            with _traced(session) as sent:
                call()
            found.append(_told(design, step, pair.statements, sent))
        pair.release()
        return found
    finally:
        pair.close()


def _told(design: str, step: str, statements: collections.Counter[str], sent: list[Any]) -> Traced:
    traces = [future.get_query_trace(max_wait=SECONDS) for future in sent]
    said = [" ".join(event.description for event in each.events) for each in traces]
    rounds = {phase: sum(any(word in text for word in words) for text in said) for phase, words in PHASES.items()}
    names = tuple(f"{name} x{count}" if count > 1 else name for name, count in statements.items() if count)
    return Traced(design=design, step=step, statements=names, requests=len(traces), rounds=rounds)
