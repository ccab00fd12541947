"""How a sealed value looks, for those who show, count or refuse it without opening it."""

import json
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeAlias

from core.errors import PlatformError
from core.sealing import keys

MARK = "$sealed"
SHOWN = "(sealed)"
EACH = "*"
MOST_WORDS = 4   # of a way: deeper nobody looks for sealed values
KEY_ID = re.compile(r"[0-9a-f]{8}")

Way: TypeAlias = tuple[str, ...]
"""Names of members from the outermost in; `EACH` stands for each member of an object."""


class NoSealKey(PlatformError):
    """Something was to be sealed, and this process has no key."""

    def __init__(self) -> None:
        super().__init__(f"SEAL_KEYS is not set, and there is something to seal: {keys.MAKE}, and give it to every process")


def place(type_name: str, *way: str) -> str:
    """Return what a value at this way of the payload is sealed for."""
    return json.dumps([type_name, *way])


def is_sealed(value: object) -> bool:
    """Whether a value has the form of a sealed one."""
    return isinstance(value, dict) and MARK in value


def key_of(value: Mapping[str, Any]) -> str:
    """Return the id of the key that a sealed value names, or "" when it names none."""
    text = value.get(MARK)
    name = text.partition(":")[0] if isinstance(text, str) and ":" in text else ""
    return name if KEY_ID.fullmatch(name) else ""


def replaced(
    members: Any, change: Callable[[Way, Any], Any], *, ways: Collection[Way], also_sealed: bool = False, at: Way = (),
) -> Any:
    """Return an object with the values at these ways changed; what was given stays as it is.

    A sealed value on the way to others counts, because the way was a shorter one once. `also_sealed` are sealed values
    anywhere else: of types that are not known here, or that seal less than they did.
    """
    if not isinstance(members, dict):
        return members
    new = dict(members)
    for name, value in members.items():
        below = [way[1:] for way in ways if way[0] in (name, EACH)]
        here = (*at, name)
        if () in below or (is_sealed(value) and (below or also_sealed)):
            new[name] = change(here, value)
        elif len(here) < MOST_WORDS and (below or also_sealed):
            new[name] = replaced(value, change, ways=below, also_sealed=also_sealed, at=here)
    return new


def shown(members: Any, *, secret: Collection[Way] = ()) -> Any:
    """Return an object as anybody may see it: what is sealed is hidden, and so is what is plain and should not be."""
    return replaced(members, lambda _way, _value: SHOWN, ways=secret, also_sealed=True)
