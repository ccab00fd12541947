"""What travels between a worker's loop and its database thread: the work of one commit, and what the commit said."""

from collections import Counter
from dataclasses import dataclass, field

from apps.jobs.engine.stock import Fetch
from apps.jobs.transitions.fetch import Claim
from apps.jobs.transitions.settle import Ending
from apps.jobs.transitions.token import Note


@dataclass(slots=True)
class Batch:
    """The work of one commit. It is sent again as it is when the reply to its commit was lost."""

    endings: list[Ending]
    fetches: list[Fetch]
    beat: bool
    roll: bool
    queues: bool
    stopping: bool = False
    notes: list[Note] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.fetches) or self._does_more()

    def only_asks(self) -> bool:
        """Whether it is one fetch and nothing else, as when a ticket wakes an idle worker."""
        return len(self.fetches) == 1 and not self._does_more()

    def _does_more(self) -> bool:
        timed = self.beat or self.roll or self.queues or self.stopping
        return bool(self.endings or timed or self.notes or self.keys)


@dataclass(slots=True)
class Answer:
    """What a commit said. `lost`: jobs that the database no longer counts as ours; `cancelled`: asked to stop."""

    settled: list[Ending] = field(default_factory=list)
    fetched: list[tuple[Fetch, list[Claim]]] = field(default_factory=list)
    lost: list[tuple[str, int]] = field(default_factory=list)
    cancelled: list[tuple[str, int]] = field(default_factory=list)
    queues: list[str] = field(default_factory=list)
    noted: list[tuple[Note, bool]] = field(default_factory=list)
    too_slow: list[Fetch] = field(default_factory=list)
    """Fetches that the server has ended: of others nothing is known."""
    ready: Counter[str] = field(default_factory=Counter)
    """Jobs that got the place of a lock's key, by queue."""
    replaced: bool = False
    """The worker was declared dead and has started anew: whatever it held is no longer its own."""
