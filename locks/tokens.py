"""Where tokens come from."""

import threading

from locks.clock import Clock

LARGEST = 2**63 - 1


class Tokens:
    """Guess the next token of a name: above all that was seen of it, and likely above all that others saw.

    Microseconds since 1970 make the guess a good one without any reading, in every store alike, so that tokens go on rising
    when a namespace moves to another store. The store compares; a wrong clock costs one more question, never a token.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._latest = 0
        self._guard = threading.Lock()

    def mint(self, *, above: int) -> int:
        with self._guard:
            # our own guesses rise even when the wall clock is set back
            self._latest = max(self._latest + 1, int(self._clock.wall() * 1_000_000))
            token = max(above + 1, self._latest)
        if token > LARGEST:
            raise OverflowError(f"there is no token above {above}: the row or the floor was set to an impossible value")
        return token

    def forget(self) -> None:
        """Begin anew in a forked child: the guard may have been held by a thread that exists no more."""
        self._guard = threading.Lock()
