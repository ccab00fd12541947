"""Values of the database as what every format can hold: text, numbers, moments, truth and nothing."""

import json
import math
import re
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

Cell = str | int | float | bool | datetime | None
Row = list[Cell]

MOST_TEXT = 10_000
"""Characters of a cell; XLSX allows 32,767 units of UTF-16."""

# What XML refuses, what a terminal obeys, and halves of surrogate pairs. Tab and line feed are text.
_UNWANTED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def clean(text: str) -> str:
    """Return a text without control characters, and with a mark where it was cut."""
    if len(text) <= MOST_TEXT and text.isprintable():   # nearly all are, and this is ten times as fast
        return text
    if len(text) > MOST_TEXT:
        text = f"{text[:MOST_TEXT]}… (and {len(text) - MOST_TEXT} characters more)"
    return _UNWANTED.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n"))


def _same(value: Any) -> Cell:
    return value  # type: ignore[no-any-return]  # of a kind that is a cell


def _number(value: float) -> Cell:
    return value if math.isfinite(value) else str(value)


def _decimal(value: Decimal) -> Cell:
    if not value.is_finite():
        return str(value)
    return int(value) if value == value.to_integral_value() else float(value)


def _moment(value: datetime) -> Cell:
    return value if value.tzinfo else value.isoformat(" ")


def _list(value: Iterable[object]) -> Cell:
    return clean(", ".join(map(str, value)))


def _object(value: dict[str, Any]) -> Cell:
    return clean(json.dumps(value, ensure_ascii=False, default=str))


_KINDS: dict[type, Callable[[Any], Cell]] = {
    type(None): _same, bool: _same, int: _same, str: clean, float: _number, Decimal: _decimal, datetime: _moment,
    timedelta: timedelta.total_seconds, list: _list, tuple: _list, dict: _object,
}


def cell(value: object) -> Cell:
    """Return a value as a cell. A duration becomes its seconds, a list its members, what is not known its text."""
    kind = _KINDS.get(type(value))
    return kind(value) if kind else clean(str(value))
