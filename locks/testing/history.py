"""Write down what processes did with locks, one JSON line an event, so that a killed one simply stops writing.

Times are of this machine's monotonic clock, which all its processes share. What a test process writes itself:

- `acquire.call` (op, name) before, `acquire.return` (op, name, outcome `held`, `busy`, `unavailable` or `unknown`, nonce;
  held: token, deadline; busy: holder, which is the nonce that was in the way) after each acquire;
- `release.call` (name, token) before a release; `force.call` (name, token) before a forced one;
- `killed`, `stopped`, `continued` (victim: a pid); `fault` and `heal` (fault: its name) around each fault.

What the library does by itself is written by a `Recorder`, handed to `Locks` as its observer.
"""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from locks.clock import Clock
from locks.observer import Cancelled, Forced, Granted, Happening, Lost, Reaped, Released, Renewed

Event = dict[str, Any]


class History:
    """Append the events of one process to a file of its own in a folder that all share."""

    def __init__(self, folder: Path, who: str) -> None:
        self._clock = Clock()
        self._file = os.open(folder / f"{who}-{os.getpid()}.jsonl", os.O_CREAT | os.O_APPEND | os.O_WRONLY)

    def add(self, event: str, **facts: Any) -> None:
        line = {"at": self._clock.now(), "event": event, "pid": os.getpid(), **facts}
        os.write(self._file, f"{json.dumps(line, default=str)}\n".encode())

    def close(self) -> None:
        os.close(self._file)


class Recorder:
    """An observer that writes what the checker needs."""

    def __init__(self, history: History) -> None:
        self._history = history

    def tell(self, happening: Happening) -> None:
        name = happening.name
        match happening:
            case Granted(token=token, nonce=nonce, deadline=deadline, victim=victim, questions=questions):
                self._history.add(
                    "granted", name=name, token=token, nonce=nonce, deadline=deadline, victim=victim, questions=questions,
                )
            case Renewed(token=token, deadline=deadline):
                self._history.add("renewed", name=name, token=token, deadline=deadline)
            case Lost(token=token, why=why):
                self._history.add("lost", name=name, token=token, why=why)
            case Released(token=token, how=how):
                self._history.add("released", name=name, token=token, how=how)
            case Forced(token=token, how=how, by=by):
                self._history.add("forced", name=name, token=token, how=how, by=by)
            case Reaped(token=token):
                self._history.add("reaped", name=name, token=token)
            case Cancelled(change=change, how=how):
                self._history.add("cancelled", name=name, nonce=getattr(change, "nonce", None), how=how)
            case _:
                pass


def load(folder: Path) -> list[Event]:
    """Return all events of a folder by time; the last line of a killed process may be cut."""
    events = [event for path in folder.glob("*.jsonl") for event in _lines(path.read_text().splitlines())]
    return sorted(events, key=lambda event: event["at"])


def _lines(lines: Iterable[str]) -> Iterable[Event]:
    for line in lines:
        try:
            yield json.loads(line)
        except ValueError:
            continue
