"""Pages, and text on them that fits where it stands."""

import logging
from pathlib import Path
from typing import cast

from fpdf import FPDF
from fpdf.fonts import TTFFont

FONT = Path(__file__).with_name("fonts") / "DejaVuSans.ttf"
FAMILY = "DejaVu"
MARGIN = 12.0
INK, FAINT, LINE, HEAD = (30, 34, 40), (110, 116, 124), (214, 218, 223), (238, 241, 244)
PALETTE = ((38, 99, 173), (214, 110, 39), (47, 138, 87), (158, 58, 118), (112, 96, 178), (96, 104, 112))
MILLIMETRES = 25.4 / 72   # of a point
UNKNOWN = "\N{REPLACEMENT CHARACTER}"


class Page(FPDF):
    """An A4 page on its side; its one font is embedded, as far as it is used."""

    def __init__(self, title: str) -> None:
        super().__init__(orientation="landscape", unit="mm", format="A4")
        logging.getLogger("fontTools").setLevel(logging.WARNING)   # it tells each table of the font
        self.str_alias_nb_pages = ""   # else a text that holds {nb} would be changed
        self.set_margin(MARGIN)
        self.set_auto_page_break(auto=False)
        self.add_font(FAMILY, fname=FONT)
        self.set_title(title)
        self.set_lang("en")
        self.set_creator("Latchwork")
        self._footing = title
        self._font = cast("TTFFont", self.fonts[FAMILY.lower()])   # from a file: it knows its characters
        self._known = self._font.cmap
        self._widths: dict[str, float] = {}
        self.add_page()

    def footer(self) -> None:
        """Write the page's number; called by the library."""
        self.write_at(MARGIN, self.h - 6, f"{self._footing} · page {self.page_no()}", size=6.5, colour=FAINT)

    def close(self) -> None:
        """Close the font's file, which the library leaves open."""
        self._font.ttfont.close()

    @property
    def bottom(self) -> float:
        return self.h - MARGIN

    def write_at(self, x: float, y: float, text: str, *, size: float, colour: tuple[int, int, int] = INK, right: bool = False) -> None:
        """Write one line whose baseline is `y`, from `x` on or up to it."""
        text = self.drawable(text)
        if right:
            x -= self.width(text, size=size)
        self.set_font(FAMILY, size=size)   # after measuring, which sets another size
        self.set_text_color(*colour)
        self.text(x, y, text)

    def drawable(self, text: str) -> str:
        """Return a text as one line, with a mark in place of what the font does not have."""
        return "".join(letter if ord(letter) in self._known else UNKNOWN for letter in text.replace("\n", " ").replace("\t", " "))

    def width(self, text: str, *, size: float) -> float:
        """Return how wide a text is, by the width of its letters."""
        return sum(map(self._letter, text)) * size

    def _letter(self, letter: str) -> float:
        if letter not in self._widths:
            self.set_font(FAMILY, size=10)
            self._widths[letter] = self.get_string_width(letter) / 10
        return self._widths[letter]

    def fitted(self, text: str, *, width: float, size: float, lines: int) -> list[str]:
        """Break a text into lines that fit, at blanks where there are some; what is too long for `lines` ends with `…`."""
        rest, made = self.drawable(text), list[str]()
        while rest:
            end = self._reach(rest, width=width, size=size)
            if end >= len(rest):
                return [*made, rest]
            if len(made) == lines - 1:
                room = width - self.width("…", size=size)
                return [*made, rest[: self._reach(rest, width=room, size=size)] + "…"]
            blank = rest.rfind(" ", 1, end + 1)
            end = blank if blank > end // 2 else end
            made.append(rest[:end])
            rest = rest[end:].lstrip()
        return made or [""]

    def _reach(self, text: str, *, width: float, size: float) -> int:
        """Return how many letters fit, one at least."""
        used = 0.0
        for number, letter in enumerate(text):
            used += self._letter(letter) * size
            if used > width:
                return max(number, 1)
        return len(text)
