"""What this worker fetches next: from which queue and position, and how much. Loop thread only."""

import time
from collections import deque
from dataclasses import dataclass

from apps.jobs import registry
from apps.jobs.transitions.fetch import HEAD, Claim, Position

MOST = 300               # rows of one fetch
TOGETHER_MOST = 100      # jobs of one hand-over
TOGETHER_SECONDS = 0.05  # of measured work in it
SHORTEST_SECONDS = 1e-5
ALONE_SECONDS = 5e-4     # what a hand-over costs; of several jobs each has a small part of it
AHEAD_SECONDS = 0.05     # of work per slot that lie here claimed, besides what runs while a fetch is under way
AHEAD_MOST = 400         # rows per slot, however short they are: a few hand-overs last longer than a commit, and each is memory
LOOK_SECONDS = 2.0       # between two looks of an idle worker
FULL_SECONDS = 1.0       # between two looks from the head: urgent, given back and retried rows lie before the position
FULL_REST = 4            # times as long as such a look took: it reads what died, while a transaction holds back vacuum
SLOW_SECONDS = 0.25      # no look is called slower at the first time
RUNG_SECONDS = 0.2       # the same when a ticket came in busy mode
PATIENCE_SECONDS = 1.0   # without an ending in full slots: the work is long, leave the rest to others


class Line:
    """A queue as this worker sees it. Busy: the last fetch came back full, so more is ready, and no message is needed."""

    __slots__ = ("busy", "full_at", "full_seconds", "looked_at", "position", "queue", "rests_until", "rung")

    def __init__(self, queue: str) -> None:
        self.queue, self.busy, self.rung = queue, False, True
        self.position: Position = HEAD
        self.looked_at = self.full_at = self.full_seconds = self.rests_until = 0.0

    def took(self, seconds: float) -> None:
        """Note how long a look from the head takes: twice as long as before at most, as one stall of the database is no habit."""
        self.full_seconds = min(seconds, max(SLOW_SECONDS, 2 * self.full_seconds))


@dataclass(frozen=True, slots=True, eq=False)
class Fetch:
    """A fetch that is asked for: so many rows of a line behind a position."""

    line: Line
    limit: int
    after: Position
    asked_at: float


class Stock:
    """Claimed rows in their order, waiting for a slot, and the lines that they come from."""

    def __init__(self) -> None:
        self.lines: dict[str, Line] = {}
        self.rows: deque[Claim] = deque()
        self.asked: Fetch | None = None
        self._mean = AHEAD_SECONDS    # measured seconds of a job, over all types
        self._pace: dict[str, float] = {}   # and by type
        self._trip = 0.0              # seconds from asking to the answer
        self._ended_at = time.monotonic()

    def serve(self, queue: str) -> None:
        """Take rows of this queue too."""
        self.lines.setdefault(queue, Line(queue))

    def ended(self, type_name: str, seconds: float, *, alone: bool = False) -> None:
        """Note that a handed-over job of a type ended after so long; 0 when nobody has measured it, as of one killed.

        One that was handed over `alone` held its slot for longer than it ran.
        """
        self._ended_at = time.monotonic()
        if seconds <= 0:
            return
        seconds = max(seconds, SHORTEST_SECONDS)
        self._mean += 0.1 * (seconds + (ALONE_SECONDS if alone else 0) - self._mean)
        pace = self._pace.get(type_name, seconds)
        self._pace[type_name] = pace + 0.2 * (seconds - pace)

    def stuck(self, free: int) -> bool:
        """Whether full slots have seen no ending for a while."""
        return free <= 0 and time.monotonic() - self._ended_at > PATIENCE_SECONDS

    def target(self, slots: int, free: int) -> int:
        """Return how many rows may be claimed and not begun."""
        if self.stuck(free):
            return 0
        return max(0, free) + slots * min(AHEAD_MOST, int((AHEAD_SECONDS + self._trip) / self._mean))

    def next_fetch(self, *, slots: int, free: int, held: int) -> Fetch | None:
        """Return the fetch that is due. One at a time, and only when half of the target is missing: large ones are cheap."""
        if self.asked is not None:
            return None
        target, now = self.target(slots, free), time.monotonic()
        if held > target // 2 or held >= target:
            return None
        due = [
            line for line in self.lines.values()
            if now > line.rests_until and (line.busy or line.rung or now - line.looked_at > LOOK_SECONDS)
        ]
        if not due:
            return None
        line = min(due, key=lambda each: each.looked_at)   # queues take turns
        patience = max(RUNG_SECONDS if line.rung else FULL_SECONDS, FULL_REST * line.full_seconds)
        full = not line.busy or now - line.full_at > patience
        if full:
            line.full_at = now
            line.rung = False
        line.looked_at = now
        self.asked = Fetch(line, min(MOST, target - held), HEAD if full else line.position, now)
        return self.asked

    def take(self, free: int, *, together: bool) -> list[Claim]:
        """Take the rows of the next hand-over: the first, and of its type as many as make a few milliseconds' work.

        Never more than a fair share of the free slots. Alone goes, besides everything unless `together`: what nobody
        has measured yet, what its type wants alone, and what was running when a process died.
        """
        first = self.rows.popleft()
        pace = self._pace.get(first.type)
        known = registry.find(first.type)
        if not together or pace is None or known is None or known.batch == 1 or first.rescues or not self.rows:
            return [first]
        fair = -(-(len(self.rows) + 1) // max(1, free))
        most = min(TOGETHER_MOST, known.batch, int(TOGETHER_SECONDS / pace), fair)
        rows, rest = [first], deque[Claim]()
        while self.rows and len(rows) < most:
            row = self.rows.popleft()
            (rows if row.type == first.type and not row.rescues else rest).append(row)
        self.rows.extendleft(reversed(rest))
        return rows

    def answered(self, fetch: Fetch, rows: list[Claim]) -> None:
        """Take the rows of a fetch. A full one means that more is ready; a short one, from the head, that none is."""
        self.asked, line = None, fetch.line
        trip = time.monotonic() - fetch.asked_at
        self._trip += 0.2 * (trip - self._trip)
        if fetch.after is HEAD:
            line.took(trip)
        line.busy = len(rows) >= fetch.limit
        if rows:
            line.position = rows[-1].position
        if not line.busy and fetch.after is not HEAD:
            line.rung = True   # the end of the line, but something may lie before the position
        self.rows.extend(rows)

    def cancelled(self, fetch: Fetch) -> None:
        """Take that the server has ended a fetch because it took too long, as behind very many dead rows.

        A line that has more goes on behind its position, and any other rests: its next look begins at the head too.
        """
        self.asked, line = None, fetch.line
        now = time.monotonic()
        line.took(now - fetch.asked_at)
        if fetch.after is not HEAD or not line.busy:
            line.rests_until = now + FULL_REST * line.full_seconds

    def remove(self, ids: set[str]) -> None:
        """Take rows out that are no longer to be begun here."""
        self.rows = deque(row for row in self.rows if row.id not in ids)
