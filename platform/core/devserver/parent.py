"""Hear what `make` heard: a SIGINT sent to it alone, as process managers do, ends its recipe only when that ends by itself.

Ctrl-C in a terminal reaches us as well. Otherwise make puts its handler away and waits, without a word to anybody;
that the handler is gone is what can be seen from here.
"""

import os
import signal
from pathlib import Path

MAKES = ("make", "gmake")


class Parent:
    """The process that started this one."""

    def __init__(self) -> None:
        self._pid = os.getppid()
        self._proc = Path("/proc", str(self._pid))
        self._heeds = self._is_make() and self._catches_interrupt()

    def was_interrupted(self) -> bool:
        """Tell whether it is a make that has been interrupted since."""
        return self._heeds and os.getppid() == self._pid and not self._catches_interrupt()

    def _is_make(self) -> bool:
        try:
            return (self._proc / "comm").read_text(encoding="utf-8").strip() in MAKES
        except OSError:
            return False   # no such files here, or it is gone

    def _catches_interrupt(self) -> bool:
        try:
            lines = (self._proc / "status").read_text(encoding="utf-8").splitlines()
        except OSError:
            return False
        caught = next((line.split()[1] for line in lines if line.startswith("SigCgt:")), "0")
        return bool(int(caught, 16) >> (signal.SIGINT - 1) & 1)
