"""Bars and lines as vectors."""

import math
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import pairwise

from apps.jobs.types.report.pdf_data import BarData, LineData
from apps.jobs.types.report.pdf_page import FAINT, INK, LINE, PALETTE, Page

WIDTH, HEIGHT, GAP = 132.0, 49.0, 6.0
TOP, BAR = 7.0, 4.6
SMALL, TITLE = 6.0, 8.5
LABELS = 44.0   # of a bar chart's width
STEPS = 4
EMPTY = "nothing in this period"

Shown = Callable[[datetime], str]


def draw(page: Page, data: BarData | LineData, *, x: float, y: float, shown: Shown) -> None:
    """Draw a chart whose upper left corner is at x and y; `shown` says how a moment is written."""
    page.write_at(x, y + 4, data.chart.title, size=TITLE)
    if isinstance(data, BarData):
        _bars(page, data.largest(), x=x, y=y + TOP)
    else:
        _lines(page, data.largest(), x=x, y=y + TOP, shown=shown)


def height(data: BarData | LineData) -> float:
    """Return how much room a chart takes, with the gap below."""
    rows = len(data.largest()) * BAR if isinstance(data, BarData) else HEIGHT
    return max(rows, 4 * BAR) + TOP + GAP


def number(value: float) -> str:
    """Return a number as it is read: no exponent, six decimals at most."""
    return str(value) if isinstance(value, int) else f"{value:.6f}".rstrip("0").rstrip(".")


def ceiling(value: float) -> float:
    """Return the next 1, 2 or 5 with zeros that is not below."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= value * (1 - 1e-9))


def _bars(page: Page, bars: Sequence[tuple[str, float]], *, x: float, y: float) -> None:
    if not bars:
        page.write_at(x, y + 6, EMPTY, size=SMALL, colour=FAINT)
        return
    most = max(0.0, *(value for _, value in bars)) or 1
    room = WIDTH - LABELS - 18
    page.set_fill_color(*PALETTE[0])
    for place, (label, value) in enumerate(bars):
        top = y + place * BAR
        text = page.fitted(label, width=LABELS - 2, size=SMALL, lines=1)[0]
        page.write_at(x, top + 2.7, text, size=SMALL)
        page.rect(x + LABELS, top, max(value / most * room, 0.2), 3.4, style="F")
        page.write_at(x + LABELS + max(value / most * room, 0.2) + 1.5, top + 2.7, number(value), size=SMALL, colour=FAINT)


def _lines(page: Page, series: Sequence[tuple[str, list[tuple[datetime, float]]]], *, x: float, y: float, shown: Shown) -> None:
    if not series:
        page.write_at(x, y + 6, EMPTY, size=SMALL, colour=FAINT)
        return
    left, right, top, bottom = x + 14, x + WIDTH - 4, y + 1, y + HEIGHT - 13
    moments = [at for _, points in series for at, _ in points]
    first, last = min(moments), max(moments)
    most = ceiling(max(value for _, points in series for _, value in points))
    span = (last - first).total_seconds() or 1

    page.set_line_width(0.15)
    page.set_draw_color(*LINE)
    for step in range(STEPS + 1):
        height = bottom - (bottom - top) * step / STEPS
        page.line(left, height, right, height)
        page.write_at(left - 1.5, height + 0.8, number(most * step / STEPS), size=SMALL, colour=FAINT, right=True)
    page.write_at(left, bottom + 4, shown(first), size=SMALL, colour=FAINT)
    page.write_at(right, bottom + 4, shown(last), size=SMALL, colour=FAINT, right=True)

    page.set_line_width(0.35)
    for place, (name, points) in enumerate(series):
        colour = PALETTE[place % len(PALETTE)]
        page.set_draw_color(*colour)
        page.set_fill_color(*colour)
        spots = [
            (left + (at - first).total_seconds() / span * (right - left), bottom - value / most * (bottom - top))
            for at, value in points
        ]
        for (x1, y1), (x2, y2) in pairwise(spots):
            page.line(x1, y1, x2, y2)
        for spot_x, spot_y in spots if len(spots) < 60 else ():
            page.rect(spot_x - 0.4, spot_y - 0.4, 0.8, 0.8, style="F")
        _legend(page, name, place, x=left, y=bottom + 8)


def _legend(page: Page, name: str, place: int, *, x: float, y: float) -> None:
    column, row = place % 3, place // 3
    page.rect(x + column * 38, y + row * 4 - 1.6, 2, 2, style="F")
    page.write_at(x + column * 38 + 3, y + row * 4, page.fitted(name, width=33, size=SMALL, lines=1)[0], size=SMALL, colour=INK)
