"""How often somebody who waits for a lock looks at it."""

import random

FIRST = 0.02      # before the second look, twice as long after each that shows nothing new
BUSY = 0.3        # where the lock goes from hand to hand,
AGING = 0.75      # and so much of it for each grant that has passed us by
GROWTH = 1.5      # there, for each look that shows nothing new
SHORTEST = 0.015


class Pace:
    """Look seldom at a lock that stays held. At one that changes hands, look the more often the more others were faster.

    So it comes to those first who wait longest, without anybody knowing of the others, and few looks are in vain: somebody
    is always about to look, and newcomers are not. Else whoever comes last, with the shortest pauses, has it first.
    """

    def __init__(self, *, longest: float, busy: bool = False) -> None:
        self.busy = busy
        """Others are known to want it."""
        self._longest = longest
        self._watched = 0     # the token of the holder that was seen last
        self._still = 0       # looks in a row that showed the same one
        self._passed = 0      # grants that went to others meanwhile

    def pause(self, fence: int) -> float:
        """Return the seconds until the next look, after one that showed the lock held under this token."""
        if fence == self._watched:
            self._still += 1
        else:
            self._passed += self._watched != 0
            self._watched, self._still = fence, 0
        if self.busy or self._passed:
            pause = max(SHORTEST, BUSY * AGING ** self._passed) * GROWTH ** min(self._still, 20)
        else:
            pause = FIRST * 2 ** min(self._still, 20)
        pause = min(self._longest, pause)
        return random.uniform(pause / 2, pause)   # noqa: S311  spreads load, keeps no secret
