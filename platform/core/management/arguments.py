"""What is typed at a terminal, checked while the command line is read: a mistake exits with 2 and says the right form."""

import json
import re
import sys
from argparse import ArgumentTypeError
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.utils.dateparse import parse_datetime

from core.audit import LONGEST_REASON

UNITS = {"": 1, "ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
DURATION = re.compile(r"(?P<amount>\d{1,12}(\.\d{1,6})?)(?P<unit>ms|[smhd]?)", re.ASCII)


def duration(text: str) -> timedelta:
    """Read a length of time: seconds, or a number with ms, s, m, h or d."""
    found = DURATION.fullmatch(text)
    if not found:
        raise ArgumentTypeError(f"{text!r} is no length of time: write seconds, or 500ms, 90s, 5m, 2h, 1d")
    try:
        return timedelta(seconds=float(found["amount"]) * UNITS[found["unit"]])
    except OverflowError:
        raise ArgumentTypeError(f"{text!r} is longer than any calendar") from None


def moment(text: str) -> datetime:
    """Read a moment in time, with its zone."""
    try:
        found = parse_datetime(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise ArgumentTypeError(f"{text!r} is no moment: write it with its zone, as in 2030-01-31T09:00:00Z")
    return found


def number(least: int, most: int) -> Callable[[str], int]:
    """Return a reader of whole numbers within bounds."""

    def read(text: str) -> int:
        if not re.fullmatch(r"\d{1,19}", text, re.ASCII) or not least <= int(text) <= most:
            raise ArgumentTypeError(f"{text!r} is not a whole number from {least} to {most}")
        return int(text)

    return read


def document(text: str) -> Any:
    """Read JSON; `-` reads it from standard input."""
    try:
        given = sys.stdin.read() if text == "-" else text
        return json.loads(given)
    except (ValueError, RecursionError) as exc:
        raise ArgumentTypeError(f"is not JSON: {exc}") from None


def said(text: str) -> str:
    """Read something that a person says, a reason."""
    if not (found := remark(text)):
        raise ArgumentTypeError("says nothing: write a few words")
    return found


def remark(text: str) -> str:
    """Read the same where it may be left out, or blank."""
    if "\0" in text:
        raise ArgumentTypeError("holds a NUL character, which cannot be stored: remove it")
    if len(text) > LONGEST_REASON:
        raise ArgumentTypeError(f"says it in {len(text)} characters: at most {LONGEST_REASON}")
    return text.strip()
