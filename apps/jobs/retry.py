"""When a failed attempt is followed by another."""

import math
import random
from dataclasses import dataclass
from typing import Protocol


class RetryPolicy(Protocol):
    """Decides from the number of failures so far (1 after the first) and the error."""

    def delay_seconds(self, failures: int, error: BaseException | None = None) -> float | None:
        """Return the seconds until the next attempt, or None when there shall be none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exponential:
    """Wait `base ** failures` seconds, at most `cap`, give or take `jitter` (a share), never after errors in `never`.

    The jitter spreads those that failed together (AWS Architecture Blog, "Exponential Backoff And Jitter").
    """

    base: float = 2.0
    cap: float = 3600.0
    jitter: float = 0.2
    never: tuple[type[BaseException], ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= self.base < math.inf or not 0 < self.cap < math.inf or not 0 <= self.jitter <= 1:
            raise ValueError("Exponential needs base >= 1, cap > 0, both finite, and jitter between 0 and 1")

    def delay_seconds(self, failures: int, error: BaseException | None = None) -> float | None:
        if isinstance(error, self.never):
            return None
        try:
            plain = min(self.cap, float(self.base) ** failures)
        except OverflowError:   # past any cap
            plain = self.cap
        return plain * random.uniform(1 - self.jitter, 1 + self.jitter)  # noqa: S311  spreads load, guards nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Fixed:
    """Wait the same time after each failure."""

    seconds: float
    never: tuple[type[BaseException], ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.seconds < math.inf:
            raise ValueError("Fixed needs seconds of 0 or more, and finite")

    def delay_seconds(self, failures: int, error: BaseException | None = None) -> float | None:  # noqa: ARG002  the protocol's
        return None if isinstance(error, self.never) else self.seconds


@dataclass(frozen=True, slots=True)
class NoRetry:
    """Make the first failure the last: for what must not be tried twice."""

    def delay_seconds(self, failures: int, error: BaseException | None = None) -> float | None:  # noqa: ARG002  the protocol's
        return None
