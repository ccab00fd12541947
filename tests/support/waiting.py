"""Wait for a condition, never for a time: the one place where a test sleeps."""

import time
from collections.abc import Callable
from typing import TypeVar

Truth = TypeVar("Truth")

SHORTEST, LONGEST = 0.002, 0.1


def until(condition: Callable[[], Truth], *, timeout: float = 10.0, message: str = "the condition never came true") -> Truth:
    """Ask again and again until the answer is true, and return it; fail with `message` and the last answer."""
    deadline, pause = time.monotonic() + timeout, SHORTEST
    while not (answer := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{message} (after {timeout:g} s, the last answer was {answer!r})")
        time.sleep(pause)
        pause = min(LONGEST, pause * 1.5)
    return answer
