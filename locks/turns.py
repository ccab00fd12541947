"""Threads of one process that want the same lock wait in line here: only the first of them asks the store."""

import threading
from collections import deque
from types import TracebackType


class Turns:
    """However many threads wait, a store sees one client a process and lock; and among themselves they are served in order.

    Mostly nobody else is there: then it costs a look into a dict, and nothing is made.
    """

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begin anew in a forked child: nobody waits there."""
        self.lines: dict[str, deque[threading.Lock]] = {}
        """Of each name that somebody has the turn of: what those who wait behind wait for, first come first."""
        self.guard = threading.Lock()

    def turn(self, name: str, *, seconds: float) -> "Turn":
        """Return what is to be entered with `with`."""
        return Turn(self, name, seconds)


class Turn:
    """One thread's turn, waited for at most so long. It says whether it came; the next one's comes when it is left."""

    __slots__ = ("_came", "_name", "_seconds", "_turns")

    def __init__(self, turns: Turns, name: str, seconds: float) -> None:
        self._turns, self._name, self._seconds, self._came = turns, name, seconds, False

    def __enter__(self) -> bool:
        turns = self._turns
        with turns.guard:
            line = turns.lines.get(self._name)
            if line is None:
                turns.lines[self._name] = deque()
                self._came = True
                return True
            mine = threading.Lock()
            mine.acquire()
            line.append(mine)
        self._came = mine.acquire(timeout=max(0.0, self._seconds))
        if not self._came:
            with turns.guard:
                if mine in line:
                    line.remove(mine)
                else:
                    self._came = True    # it was given to us just now
        return self._came

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if not self._came:
            return
        with self._turns.guard:
            line = self._turns.lines.get(self._name)
            if line:
                line.popleft().release()
            else:
                self._turns.lines.pop(self._name, None)
