"""Threads of one process that want the same lock wait in line here: only the first of them asks the store."""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class Line:
    """Those who wait for one name, in the order in which they came."""

    waiting: deque[object] = field(default_factory=deque)
    moved: threading.Condition = field(default_factory=threading.Condition)
    users: int = 0


class Turns:
    """However many threads wait, a store sees one client a process and lock; and among themselves they are served in order."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begin anew in a forked child: nobody waits there."""
        self._lines: dict[str, Line] = {}
        self._guard = threading.Lock()

    @contextmanager
    def turn(self, name: str, *, seconds: float) -> Iterator[bool]:
        """Wait for the turn at most so long; say whether it came. The next one's comes when this is left."""
        with self._guard:
            line = self._lines.setdefault(name, Line())
            line.users += 1
        me = object()
        try:
            with line.moved:
                line.waiting.append(me)
                came = line.moved.wait_for(lambda: line.waiting[0] is me, max(0.0, seconds))
            yield came
        finally:
            with line.moved:
                line.waiting.remove(me)
                line.moved.notify_all()
            with self._guard:
                line.users -= 1
                if not line.users:
                    self._lines.pop(name, None)
