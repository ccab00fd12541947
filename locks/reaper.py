"""Watch held locks for everybody, and free what nobody renews, so that the next one to come need not wait a lease."""

from collections.abc import Sequence
from dataclasses import dataclass

from locks.answers import Applied
from locks.asking import Question
from locks.background import Background
from locks.changes import Reap
from locks.errors import NoAnswer
from locks.locks import Locks
from locks.observer import Reaped
from locks.row import State


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaperConfig:
    """What one reaper does. Several may run; they only do the same work twice."""

    prefixes: Sequence[str] = ("",)
    interval_seconds: float = 2.0
    looks_a_round: int = 200
    """So many locks are looked at, then the next round goes on from there; a row costs one cheap look."""


class Reaper:
    """Look at the locks in turn; reap exactly the version that was seen for a whole lease, on this machine's clock."""

    def __init__(self, locks: Locks, config: ReaperConfig | None = None) -> None:
        self._locks, self._config = locks, config or ReaperConfig()
        self._prefix, self._after = 0, ""
        self._held: set[str] = set()    # looked at in every round, however many others there are
        self._stopped = False
        self._background = Background("locks-reaper", self._round)

    def start(self) -> None:
        self._stopped = False
        self._background.wake()

    def stop(self) -> None:
        self._stopped = True

    def run_once(self) -> int:
        """Do one round; return how many locks were freed. A store that is away makes it a short round."""
        means, config = self._locks.means, self._config
        until = means.clock.now() + config.interval_seconds
        try:
            names = self._next_names(until)
            return sum(self._visit(name, until) for name in sorted(self._held.union(names)))
        except NoAnswer:
            return 0

    def _next_names(self, until: float) -> list[str]:
        prefixes, limit = self._config.prefixes, self._config.looks_a_round
        names = self._locks.means.asker.names(
            prefix=prefixes[self._prefix], after=self._after, limit=limit, until=until,
        )
        self._after = names[-1] if len(names) == limit else ""
        if not self._after:
            self._prefix = (self._prefix + 1) % len(prefixes)
        return names

    def visit(self, name: str) -> bool:
        """Look at one lock, and free it if this process has seen it for a whole lease; say whether it is free by that."""
        try:
            return self._visit(name, self._locks.means.clock.now() + self._config.interval_seconds)
        except NoAnswer:
            return False

    def _visit(self, name: str, until: float) -> bool:
        means = self._locks.means
        row = means.asker.look(name, until=until)
        if row is None or row.state != State.HELD:
            self._held.discard(name)
            return False
        self._held.add(name)
        if means.sights.see(name, row) > means.clock.now():
            return False
        answer = means.asker.ask(Question(Reap(name=name, seen=row.version)), until=until)
        if not isinstance(answer, Applied):
            return False
        self._held.discard(name)
        means.observer.tell(Reaped(name=name, token=row.fence, owner=row.owner))
        means.journal.note(
            name, "reaped", token=row.fence, actor=self._locks.owner, reason=f"{row.owner} did not renew it for a whole lease",
        )
        return True

    def _round(self) -> float | None:
        if self._stopped or self._locks.closed:
            return None
        self.run_once()
        return self._config.interval_seconds
