"""When silence may end a worker: never right after the database was away, for then nobody could renew.

What a worker held whose row has ended otherwise (it was stopped, or found killed) is taken back at once.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

GAP = timedelta(seconds=2)


@dataclass(slots=True)
class RescueHold:
    """Watches the database's clock, and nothing else: a gap in it holds rescues back for half a lease.

    A clock that moved more than `GAP` between two looks means that the database stalled, or that we did: either way
    we cannot tell silent workers from those that were as stuck as we were. The first look is a gap too, and a clock that
    went back: another server has taken over, or its clock was set.

    What passes while a duty of ours is under way, between a look right before and one right after it, is a gap only when it
    is more than a third of a lease as well: else a slow duty, again and again, would hold back rescues for ever. Whoever
    renews each third has another one left then, even if the database stood still all the while, so that it charges nobody.
    """

    lease_seconds: float
    _seen: datetime | None = field(default=None, init=False)
    _held_until: datetime | None = field(default=None, init=False)

    def see(self, now: datetime, *, ours: bool = False) -> bool:
        """Take note of the database's clock, after a duty of `ours` or not; True when a hold begins."""
        gap = max(GAP, timedelta(seconds=self.lease_seconds / 3)) if ours else GAP
        began = self._seen is None or not timedelta(0) <= now - self._seen <= gap
        if began:
            self._held_until = now + timedelta(seconds=self.lease_seconds / 2)
        self._seen = now
        return began

    def forget(self) -> None:
        """Begin anew at the next look: the connection is gone, and what the database does meanwhile is not seen."""
        self._seen = None

    @property
    def until(self) -> datetime | None:
        """Until which moment of the database's clock a rescue sent now may be executed; None: send none."""
        if self._seen is None or self._held_until is None or self._seen < self._held_until:
            return None
        return self._seen + GAP
