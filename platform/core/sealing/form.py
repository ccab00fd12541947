"""How a sealed value looks, for those who show, count or refuse it without opening it."""

import json
import re
from collections.abc import Collection, Mapping
from typing import Any

from core.errors import PlatformError
from core.sealing import keys

MARK = "$sealed"
SHOWN = "(sealed)"
KEY_ID = re.compile(r"[0-9a-f]{8}")


class NoSealKey(PlatformError):
    """Something was to be sealed, and this process has no key."""

    def __init__(self) -> None:
        super().__init__(f"SEAL_KEYS is not set, and there is something to seal: {keys.MAKE}, and give it to every process")


def place(type_name: str, name: str) -> str:
    """Return what a value of this field is sealed for."""
    return json.dumps([type_name, name])


def is_sealed(value: object) -> bool:
    """Whether a value has the form of a sealed one."""
    return isinstance(value, dict) and MARK in value


def key_of(value: Mapping[str, Any]) -> str:
    """Return the id of the key that a sealed value names, or "" when it names none."""
    text = value.get(MARK)
    name = text.partition(":")[0] if isinstance(text, str) and ":" in text else ""
    return name if KEY_ID.fullmatch(name) else ""


def shown(members: Any, *, secret: Collection[str] = ()) -> Any:
    """Return an object as anybody may see it: what is sealed is hidden, and so is what is plain and should not be."""
    if not isinstance(members, dict):
        return members
    hidden = [name for name, value in members.items() if name in secret or is_sealed(value)]
    return {**members, **dict.fromkeys(hidden, SHOWN)} if hidden else members
