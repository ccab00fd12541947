"""What one call is on the wire and in the servers: statements counted on our side, and the servers' own traces of them."""

import collections
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from bench.locks.pairs import PAIRS, OurPair, fresh
from locks.stores.cassandra import Address

SECONDS = 10.0
NAMES = 4   # that are new one after the other
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
    rounds: Mapping[str, int]
    """In how many of them each phase of Paxos was seen."""


def trace(address: Address, design: str) -> list[Traced]:
    """Trace each step of a lock's life in this design."""
    return _trace_ours(address) if design == "ours" else _trace_plain(address, design)


def _trace_plain(address: Address, design: str) -> list[Traced]:
    pair = PAIRS[design](address, fresh())
    try:
        steps = _Steps(design, pair.connection.session(SECONDS), pair.statements)
        pair.acquire("connected")
        pair.release()
        steps.take("the first acquire of a name", lambda: pair.acquire("x"))
        steps.take("release", pair.release)
        steps.take("acquire", lambda: pair.acquire("x"))
        pair.release()
        return steps.found
    finally:
        pair.close()


def _trace_ours(address: Address) -> list[Traced]:
    """Trace ours as seen by one process; a second one comes in as a stranger, and as the holder that is gone."""
    namespace = fresh()
    pair, other = OurPair(address, namespace), OurPair(address, namespace)
    try:
        steps = _Steps("ours", pair.connection.session(SECONDS), pair.statements)
        for each in (pair, other):   # connect, and see that the namespace is at our level
            each.acquire("connected")
            each.release()
        steps.take("the first acquire of a name", lambda: pair.acquire("x"))
        steps.take("renewal", pair.renew)
        steps.take("release", pair.release)
        steps.take("acquire", lambda: pair.acquire("x"))
        pair.release()
        other.acquire("of another process")
        other.release()
        steps.take("acquire, used by others only", lambda: pair.acquire("of another process"))
        pair.release()
        for number in range(NAMES):
            pair.acquire(f"new {number}")
            pair.release()
        steps.take("the first of a name after others", lambda: pair.acquire("y"))
        pair.release()
        other.acquire("gone", lease=timedelta(seconds=other.shortest_lease_seconds))
        other.die()
        steps.take("takeover, watched from the start", lambda: pair.acquire("gone"))
        pair.release()
        pair.forget()
        steps.take("acquire after a takeover", lambda: pair.acquire("gone"))
        pair.release()
        return steps.found
    finally:
        pair.close()
        other.close()


class _Steps:
    """Have the servers trace a call, and keep what they and we have counted."""

    def __init__(self, design: str, session: Any, statements: collections.Counter[str]) -> None:
        self.found: list[Traced] = []
        self._design, self._session, self._statements = design, session, statements

    def take(self, step: str, call: Callable[[], object]) -> None:
        self._statements.clear()
        with _tracing(self._session) as sent:
            call()
        counted = {name: count for name, count in self._statements.items() if count}
        traces = [future.get_query_trace(max_wait=SECONDS) for future in sent]
        said = [" ".join(event.description for event in each.events) for each in traces]
        self.found.append(Traced(
            design=self._design, step=step, requests=len(traces),
            statements=tuple(f"{name} x{count}" if count > 1 else name for name, count in counted.items()),
            rounds={phase: sum(any(word in text for word in words) for text in said) for phase, words in PHASES.items()},
        ))


@contextmanager
def _tracing(session: Any) -> Iterator[list[Any]]:
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
