"""Whole lines of many processes on one screen: each behind its name, coloured only for eyes."""

import os
from typing import TextIO

COLOURS = ("36", "33", "32", "35", "34", "96", "93", "92", "95", "94")
LONGEST = 65_536   # of a line that does not end


class Console:
    """Writes lines in the order in which they came."""

    def __init__(self, stream: TextIO, *, width: int = 8) -> None:
        self.stream, self.width = stream, width
        self.colour = stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        self.broken = False   # nobody reads any more
        self._names: list[str] = []

    def line(self, name: str, text: str) -> None:
        """Write one line of a process."""
        self.block(f"{self.paint(f'{name:<{self.width}} │', self._code(name))} {text}")

    def block(self, text: str) -> None:
        """Write something of our own, as it is."""
        try:
            if not self.broken:
                self.stream.write(text + "\n")
                self.stream.flush()
        except OSError:
            self.broken = True   # an error here would end what is about to be stopped in its order

    def paint(self, text: str, code: str) -> str:
        """Return the text in a colour, for eyes."""
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour else text

    def _code(self, name: str) -> str:
        if name not in self._names:
            self._names.append(name)
        return COLOURS[self._names.index(name) % len(COLOURS)]


class Lines:
    """Cuts what comes out of a pipe into lines."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[str]:
        """Return the lines that are complete now; at the end (no data) also the last one, complete or not."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if self._rest and (not data or len(self._rest) > LONGEST):
            lines.append(self._rest)
            self._rest = b""
        return [line.rstrip(b"\r").decode(errors="replace") for line in lines]
