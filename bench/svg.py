"""Charts as SVG text: bars, spans of percentiles, curves. Pure; colours come from classes that the page styles."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from bench.results import shown

WIDE, HALF = 760, 372
LABELS = 226          # width of the column of names
RATIOS = 100          # width of the column of ratios
BAR, GAP, BETWEEN = 13, 2, 16
MARKS = ("ours", "theirs", "third", "fourth")   # classes, in the order of a chart's series


@dataclass(frozen=True, slots=True, kw_only=True)
class Bars:
    """One name with a bar for each series, and what to say beside it."""

    label: str
    values: tuple[float | None, ...]
    ratio: str = ""
    spread: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One name with percentiles, least first, for each series."""

    label: str
    values: tuple[tuple[float, ...] | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    series: int
    points: tuple[tuple[float, float], ...]


def bars(rows: Sequence[Bars], *, title: str) -> str:
    """Draw horizontal bars from zero."""
    most = max((value for row in rows for value in row.values if value is not None), default=0) or 1
    room = WIDE - LABELS - RATIOS - 64   # the value stands behind its bar
    parts: list[str] = []
    top = 4.0
    for row in rows:
        height = len(row.values) * (BAR + GAP)
        parts.append(_text(LABELS - 10, top + height / 2 + 4, row.label, kind="name", anchor="end"))
        for series, value in enumerate(row.values):
            y = top + series * (BAR + GAP)
            width = room * (value or 0) / most
            parts.append(_rect(LABELS, y, max(width, 1 if value else 0), BAR, kind=MARKS[series]))
            parts.append(_text(LABELS + width + 6, y + BAR - 2.5, shown(value), kind="value"))
        middle = top + height / 2 + (0 if row.spread else 5)
        parts.append(_text(WIDE, middle, row.ratio, kind="ratio", anchor="end"))
        parts.append(_text(WIDE, middle + 13, row.spread, kind="faint", anchor="end"))
        top += height + BETWEEN
    parts.append(f'<path class="axis" d="M{LABELS} 0V{_n(top - BETWEEN + 6)}"/>')
    return _drawing(parts, width=WIDE, height=top - BETWEEN + 10, title=title)


def spans(rows: Sequence[Span], *, title: str, unit: str) -> str:
    """Draw percentiles on a logarithmic axis: full dots, the last one hollow, and their numbers beside."""
    found = [value for row in rows for values in row.values if values for value in values if value > 0]
    least, most = min(found, default=1), max(found, default=10)
    ticks = log_ticks(least, most)
    low, high = math.log10(min(least, ticks[0])), math.log10(max(most, ticks[-1]))
    left, right = LABELS, WIDE - 140

    def place(value: float) -> float:
        return left + (right - left) * (math.log10(max(value, 10**low)) - low) / (high - low or 1)

    parts: list[str] = []
    top = 14.0
    for row in rows:
        drawn = [(series, values) for series, values in enumerate(row.values) if values]
        parts.append(_text(left - 10, top + 9 * (len(drawn) - 1) + 4, row.label, kind="name", anchor="end"))
        for series, values in drawn:
            kind, where = MARKS[series], [place(value) for value in values]
            parts.append(f'<path class="line {kind}" d="M{_n(where[0])} {_n(top)}H{_n(where[-1])}"/>')
            parts += [
                f'<circle class="{"hollow " if last else ""}{kind}" cx="{_n(x)}" cy="{_n(top)}" r="4.5"/>'
                for x, last in zip(where, [False] * (len(where) - 1) + [True], strict=True)
            ]
            parts.append(_text(WIDE, top + 4, " / ".join(map(shown, values)), kind="value", anchor="end"))
            top += 18
        top += 12
    axis = [
        f'<path class="grid" d="M{_n(place(tick))} 0V{_n(top - 6)}"/>'
        + _text(place(tick), top + 8, f"{shown(tick)} {unit}", kind="faint", anchor="middle")
        for tick in ticks
    ]
    return _drawing([*axis, *parts], width=WIDE, height=top + 14, title=title)


def curves(lines: Sequence[Curve], *, title: str, x_log: bool = False, x_name: str = "") -> str:
    """Draw values over x; the y axis begins at zero, so that a slope looks as steep as it is."""
    points = [point for line in lines for point in line.points]
    steps = sorted({x for x, _ in points})
    ticks = linear_ticks(max((y for _, y in points), default=1))
    left, right, bottom, top = 52.0, HALF - 30.0, 178.0, 10.0   # at the right half a number stands over

    def across(x: float) -> float:
        of = math.log10 if x_log else float
        low, high = of(steps[0]), of(steps[-1])
        return left + (right - left) * ((of(x) - low) / (high - low) if high > low else 0.5)

    def up(y: float) -> float:
        return bottom - (bottom - top) * y / ticks[-1]

    parts = [
        f'<path class="grid" d="M{_n(left)} {_n(up(tick))}H{_n(right)}"/>'
        + _text(left - 6, up(tick) + 4, shown(tick), kind="faint", anchor="end")
        for tick in ticks
    ]
    parts += [_text(across(x), bottom + 17, shown(x), kind="faint", anchor="middle") for x in steps]
    parts.append(_text((left + right) / 2, bottom + 34, x_name, kind="faint", anchor="middle"))
    for line in lines:
        kind = MARKS[line.series]
        places = [(across(x), up(y), y) for x, y in line.points]
        path = "L".join(f"{_n(x)} {_n(y)}" for x, y, _ in places)
        parts.append(f'<path class="line {kind}" d="M{path}"/>')
        parts += [
            f'<circle class="{kind}" cx="{_n(x)}" cy="{_n(y)}" r="3.5"><title>{shown(value)}</title></circle>'
            for x, y, value in places
        ]
    return _drawing(parts, width=HALF, height=bottom + 42, title=title)


def linear_ticks(most: float) -> list[float]:
    """Return round numbers from 0 to at least `most`, three to six of them."""
    if most <= 0:
        return [0.0, 1.0]
    power = 10 ** math.floor(math.log10(most))
    step = next(power * part for part in (0.2, 0.25, 0.5, 1, 2) if most / (power * part) <= 5)
    return [step * number for number in range(math.ceil(most / step - 1e-9) + 1)]


def log_ticks(least: float, most: float) -> list[float]:
    """Return powers of ten around a range, with 2 and 5 between them where it is short."""
    low, high = math.floor(math.log10(least)), math.ceil(math.log10(most))
    parts = (1, 2, 5) if high - low <= 2 else (1,)
    ticks = [part * 10.0**power for power in range(low, high + 1) for part in parts]
    below = [tick for tick in ticks if tick <= least][-1:]
    above = [tick for tick in ticks if tick >= most][:1]
    return [*below, *(tick for tick in ticks if least < tick < most), *(each for each in above if each not in below)]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return an HTML table; every column but the first is of numbers."""
    def line(cells: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    body = "\n".join(line(row, "td") for row in rows)
    return f"<table><thead>{line(head, 'th')}</thead><tbody>\n{body}\n</tbody></table>"


def legend(series: Mapping[str, int]) -> str:
    """Name the colours."""
    return '<p class="legend">' + " ".join(
        f'<span><i class="{MARKS[number]}"></i>{escape(name)}</span>' for name, number in series.items()
    ) + "</p>"


def _drawing(parts: Iterable[str], *, width: float, height: float, title: str) -> str:
    inside = "\n".join(part for part in parts if part)
    return (
        f'<svg viewBox="0 0 {_n(width)} {_n(height)}" role="img" aria-label="{escape(title)}" '
        f'xmlns="http://www.w3.org/2000/svg">\n{inside}\n</svg>'
    )


def _rect(x: float, y: float, width: float, height: float, *, kind: str) -> str:
    return f'<rect class="{kind}" x="{_n(x)}" y="{_n(y)}" width="{_n(width)}" height="{_n(height)}" rx="2"/>'


def _text(x: float, y: float, text: str, *, kind: str, anchor: str = "start") -> str:
    if not text:
        return ""
    return f'<text class="{kind}" x="{_n(x)}" y="{_n(y)}" text-anchor="{anchor}">{escape(text)}</text>'


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
