"""Values of the database as what every format can hold: text, numbers, moments, truth and nothing."""

import json
import math
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

Cell = str | int | float | bool | datetime | None
Row = list[Cell]

MOST_TEXT = 10_000
"""Characters of a cell; XLSX allows 32,767 units of UTF-16."""

# What XML refuses, what a terminal obeys, and halves of surrogate pairs. Tab and line feed are text.
_UNWANTED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def cell(value: object) -> Cell:  # noqa: PLR0911  one clause a kind
    """Return a value as a cell. A duration becomes its seconds, a list its members, what is not known its text."""
    match value:
        case None | bool() | int():
            return value
        case float():
            return value if math.isfinite(value) else str(value)
        case str():
            return clean(value)
        case datetime():
            return value.astimezone(UTC) if value.tzinfo else value.isoformat(" ")
        case Decimal():
            if not value.is_finite():
                return str(value)
            return int(value) if value == value.to_integral_value() else float(value)
        case timedelta():
            return value.total_seconds()
        case list() | tuple():
            return clean(", ".join(map(str, value)))
        case dict():
            return clean(json.dumps(value, ensure_ascii=False, default=str))
        case _:
            return clean(str(value))


def clean(text: str) -> str:
    """Return a text without control characters, and with a mark where it was cut."""
    if len(text) > MOST_TEXT:
        text = f"{text[:MOST_TEXT]}… (and {len(text) - MOST_TEXT} characters more)"
    return _UNWANTED.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n"))
