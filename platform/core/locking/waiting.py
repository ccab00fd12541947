"""Who waits for locks.

The library knows nobody who waits: waiting is looking. Whoever keeps a line of its own in front of locks, as jobs do, says
here how long it is, so that this package need not know them.
"""

from collections.abc import Callable, Collection, Mapping

Count = Callable[[Collection[str]], Mapping[str, int]]
"""From names of locks to how many wait for each; a name that is missing has none."""

_lines: dict[str, Count] = {}


def register(who: str, count: Count) -> None:
    """Have this line counted too."""
    _lines[who] = count


def waiters(names: Collection[str]) -> dict[str, int]:
    """Return how many wait for each of these locks."""
    counts = [count(names) for count in _lines.values()] if names else []
    return {name: sum(count.get(name, 0) for count in counts) for name in names}
