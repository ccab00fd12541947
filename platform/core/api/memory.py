"""What one process knows of the clients whose requests are counted elsewhere, for moments when that place does not answer.

It has seen a part of what all processes together let pass, and each request is noted before it is counted elsewhere. So
whoever sends no more than the rate allows is never refused by what is known here.
"""

import threading
from collections import OrderedDict, deque
from dataclasses import dataclass, field

MOST_CLIENTS = 10_000
MOST_AMOUNT = 1_000   # where a rate allows more, a few beyond it do no harm, and nothing is noted


@dataclass(slots=True)
class _Client:
    noted: deque[float] = field(default_factory=deque)   # what passed, and what is being counted elsewhere just now
    full_until: float = 0.0
    doubted_until: float = 0.0

    def left(self, at: float, *, amount: int, seconds: float) -> float:
        """Return for how long no further request fits in."""
        while self.noted and self.noted[0] <= at - seconds:
            self.noted.popleft()
        full = self.noted[-amount] + seconds if len(self.noted) >= amount else 0.0
        return max(0.0, full - at, self.full_until - at)


@dataclass(slots=True, kw_only=True)
class Memory:
    """The clients of one rate: `amount` requests in `seconds`. Moments are those of a monotonic clock."""

    amount: int
    seconds: float
    _clients: OrderedDict[str, _Client] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, bucket: str, *, at: float) -> bool:
        """Note a request that is about to be counted elsewhere; False, and nothing noted, if it is known to be one too many.

        That is known here alone for a window's time after requests passed of which the others may not know.
        """
        with self._lock:
            client = self._of(bucket)
            left = client.left(at, amount=self.amount, seconds=self.seconds)
            if left and at < client.doubted_until:
                return False
            if self.amount <= MOST_AMOUNT:
                client.noted.append(at)
            return True

    def take_back(self, bucket: str, *, at: float) -> None:
        """Forget a request that was noted at that moment: it did not pass."""
        with self._lock:
            client = self._of(bucket)
            if at in client.noted:
                client.noted.remove(at)

    def decide(self, bucket: str, *, at: float) -> bool:
        """Say whether a request that was noted at that moment passes, of which nobody knows whether it was counted."""
        with self._lock:
            client = self._of(bucket)
            if at in client.noted:
                client.noted.remove(at)
            if client.left(at, amount=self.amount, seconds=self.seconds):
                return False
            if self.amount <= MOST_AMOUNT:
                client.noted.append(at)
            client.doubted_until = at + self.seconds
            return True

    def was_full(self, bucket: str, *, until: float) -> None:
        """Remember that the window was told to be full until then."""
        with self._lock:
            self._of(bucket).full_until = until

    def left(self, bucket: str, *, at: float) -> float:
        """Return for how many seconds the window is full as far as is known here; 0 when it may not be."""
        with self._lock:
            client = self._clients.get(bucket)
            return client.left(at, amount=self.amount, seconds=self.seconds) if client is not None else 0.0

    def forget(self, bucket: str) -> None:
        """Know nothing of a client any more."""
        with self._lock:
            self._clients.pop(bucket, None)

    def _of(self, bucket: str) -> _Client:
        client = self._clients.setdefault(bucket, _Client())
        self._clients.move_to_end(bucket)
        if len(self._clients) > MOST_CLIENTS:
            self._clients.popitem(last=False)
        return client
