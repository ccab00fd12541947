"""The named lock of a job type: which one a payload asks for, and what a job does while somebody else holds it."""

import string
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, Literal, TypeAlias, get_args
from uuid import UUID

import pydantic

from apps.jobs.errors import InvalidJob, Problem
from core.sealing.form import EACH, Way

OnBusy: TypeAlias = Literal["snooze", "discard", "wait"]
LEASE = timedelta(seconds=30)
SHORTEST, LONGEST = timedelta(seconds=1), timedelta(hours=1)
MOST_KEY_BYTES = 255   # as many as a lock's name may have
PLAIN = (str, int, Decimal, UUID, date, datetime, time)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """What a type says of its lock. While the lock is held elsewhere a job comes back later, is put away, or waits on."""

    template: str
    lease: timedelta
    on_busy: OnBusy

    def key(self, payload: pydantic.BaseModel) -> str:
        """Return the name of the lock that this payload asks for; raise `InvalidJob` that points at what is missing."""
        problems: list[Problem] = []
        said = []
        for text, name in _parts(self.template):
            said.append(text)
            if name:
                pointer = _pointer(payload, name)
                value = _plain(_member(payload, name))
                if isinstance(value, PLAIN):
                    said.append(str(value))
                else:
                    detail = "is missing" if value is None else "must be a text, a number, an id or a time"
                    problems.append(Problem(pointer, f"{detail}: the lock {self.template!r} is named after it"))
        key = "".join(said)
        if not problems and not (key.isprintable() and 0 < len(key.encode()) <= MOST_KEY_BYTES):
            problems.append(Problem("/payload", f"names the lock {key[:60]!r}: it must have 1 to {MOST_KEY_BYTES} printable bytes"))
        if problems:
            raise InvalidJob(problems)
        return key


def lock(
    type_name: str, template: str, *, model: type[pydantic.BaseModel], lease: timedelta, on_busy: str, sealed: frozenset[Way],
) -> Lock:
    """Return the lock of a type; raise ValueError for a template that no payload of its model could fill."""
    if on_busy not in get_args(OnBusy):
        msg = f"{type_name}: on_busy={on_busy!r} is unknown; give one of {', '.join(get_args(OnBusy))}"
        raise ValueError(msg)
    if not SHORTEST <= lease <= LONGEST:
        msg = f"{type_name}: lock_lease is between {SHORTEST.total_seconds():g} s and {LONGEST.total_seconds():g} s"
        raise ValueError(msg)
    try:
        parts = list(_parts(template))
    except ValueError as exc:
        msg = f"{type_name}: lock={template!r} is no name of a lock: {exc}; write it as in payment:{{order_id}}"
        raise ValueError(msg) from exc
    if not template.strip():
        msg = f"{type_name}: lock={template!r} names nothing; write it as in payment:{{order_id}}"
        raise ValueError(msg)
    for _, name in parts:
        if name:
            _check_member(type_name, name, model=model, sealed=sealed)
    return Lock(template=template, lease=lease, on_busy=on_busy)   # type: ignore[arg-type]  # checked above


def _parts(template: str) -> Iterator[tuple[str, str]]:
    """Yield each text with the way to the member behind it, "" behind the last."""
    for text, name, spec, conversion in string.Formatter().parse(template):
        if name is not None and (spec or conversion or not all(part.isidentifier() for part in name.split("."))):
            msg = f"{{{name}}} has to be the name of a member of the payload, and nothing else"
            raise ValueError(msg)
        yield text, name or ""


def _check_member(type_name: str, name: str, *, model: type[pydantic.BaseModel], sealed: frozenset[Way]) -> None:
    first = name.split(".", maxsplit=1)[0]
    field = model.model_fields.get(first)
    names = (EACH, first, *((field.alias, field.validation_alias) if field is not None else ()))
    if any(way[0] in names for way in sealed):
        msg = f"{type_name}: the lock is named after {first!r}, which is sealed, and everybody may read the name of a lock"
        raise ValueError(msg)
    if field is None and not issubclass(model, pydantic.RootModel):   # whose members are known at enqueue only
        msg = f"{type_name}: the lock is named after {first!r}, which {model.__name__} does not have: {', '.join(model.model_fields)}"
        raise ValueError(msg)


def _member(payload: Any, name: str) -> Any:
    for part in name.split("."):
        payload = payload.root if isinstance(payload, pydantic.RootModel) else payload
        payload = payload.get(part) if isinstance(payload, Mapping) else getattr(payload, part, None)
    return payload


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, Enum) else value


def _pointer(payload: pydantic.BaseModel, name: str) -> str:
    first, *rest = name.split(".")
    field = type(payload).model_fields.get(first)
    return "/payload/" + "/".join([(field.alias if field else None) or first, *rest])
