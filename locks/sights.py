"""The observation cache: since when this process has seen which version of which lock."""

import threading
from collections import OrderedDict

from locks.clock import Clock
from locks.row import Row
from locks.trust import Trust

CONTENDED_SECONDS = 5.0   # a name that this process had to wait for counts as wanted by others for so long
LIMIT = 20_000   # names; beyond that the longest unseen is forgotten, which makes its takeover later, never earlier
STRANGERS = 3    # so many names in a row that nobody had used before make it likely that the next one is such a name too


class Sights:
    """Remember when each version was first seen, for all threads of the process, so that no newcomer waits a whole lease anew."""

    def __init__(self, clock: Clock, trust: Trust) -> None:
        self._clock, self._trust = clock, trust
        self._seen: OrderedDict[str, tuple[tuple[int, int], float]] = OrderedDict()
        self._waited: OrderedDict[str, float] = OrderedDict()
        self._met: OrderedDict[str, None] = OrderedDict()
        self._strangers = 0
        self._guard = threading.Lock()

    def wait_for(self, name: str) -> None:
        """Note that somebody of this process waits for the lock while others have it."""
        with self._guard:
            self._waited[name] = self._clock.now()
            self._waited.move_to_end(name)
            if len(self._waited) > LIMIT:
                self._waited.popitem(last=False)

    def is_wanted(self, name: str) -> bool:
        """Say whether others were found in the way lately, so that whoever asks at once only disturbs them."""
        return self._clock.now() - self._waited.get(name, -CONTENDED_SECONDS) < CONTENDED_SECONDS

    def meet(self, name: str, *, existed: bool) -> None:
        """Note what the first question about a lock has found: a row of it, or none."""
        if name in self._met and len(self._met) < LIMIT:
            return    # as mostly: nothing new, and nothing has to be forgotten
        with self._guard:
            if name not in self._met:
                self._strangers = 0 if existed else self._strangers + 1
            self._met[name] = None
            self._met.move_to_end(name)
            if len(self._met) > LIMIT:
                self._met.popitem(last=False)

    def is_likely_new(self, name: str) -> bool:
        """Say whether this process has never met the lock, and none of the last few that it had never met had a row.

        So it goes with locks of payments and orders: then asking for the lock before it is made is one question in vain.
        """
        return self._strangers >= STRANGERS and name not in self._met

    def see(self, name: str, row: Row) -> float:
        """Note a held row whose sighting has just arrived; return from when on it may be taken over.

        An older version than the one known is a late answer: the lock has been renewed since, and the wait goes on from that.
        """
        version = (row.fence, row.hb)
        with self._guard:
            known = self._seen.get(name)
            if known is None or version > known[0]:
                known = (version, self._clock.now())
                self._seen[name] = known
                if len(self._seen) > LIMIT:
                    self._seen.popitem(last=False)
            self._seen.move_to_end(name)
        return self._trust.dead_from(seen=known[1], lease_seconds=row.lease_ms / 1000)

    def watched(self, name: str) -> float:
        """Return since how many seconds the version of the lock that was seen last is known."""
        known = self._seen.get(name)
        return self._clock.now() - known[1] if known else 0.0

    def forget(self) -> None:
        """Begin anew in a forked child: the guard may have been held by a thread that exists no more."""
        self._guard = threading.Lock()
        self._seen = OrderedDict(self._seen)
        self._met = OrderedDict(self._met)
