"""The sealed fields of a job type: plain in the caller and in the handler, sealed everywhere between.

Loaded with the first type that has any, so that nobody else pays for cryptography.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import pydantic
from pydantic_core import ErrorDetails, core_schema

from apps.jobs.errors import InvalidJob, InvalidPayload, Problem
from core.sealing import ring
from core.sealing.form import MARK, is_sealed
from core.sealing.form import place as place_of

OWN_WORDS = {"value_error", "assertion_error"}   # whose text the model's code writes, around the value perhaps
PYDANTICS = frozenset(get_args(core_schema.ErrorType))   # whose text is pydantic's


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealing:
    """Which members of a type's payload are sealed; `names` has every spelling that the model takes."""

    type: str
    names: frozenset[str]

    def dumped(self, payload: pydantic.BaseModel) -> Any:
        """Return a model as JSON's types, with what its own secrets hide; pydantic's warnings would show values."""
        given = payload.model_dump(mode="json", by_alias=True, warnings=False)
        if isinstance(given, dict):
            plain = payload.model_dump(by_alias=True, warnings=False)
            for name in self.names & given.keys():
                if isinstance(plain.get(name), pydantic.SecretStr):
                    given[name] = plain[name].get_secret_value()
        return given

    def refuse(self, payload: object) -> None:
        """Raise `InvalidJob` for a payload that cannot be sealed, or that somebody has sealed already."""
        if not isinstance(payload, dict):
            raise InvalidJob([Problem("/payload", "must be an object: its type seals some of the fields")])
        ready = [name for name in payload if name in self.names and is_sealed(payload[name])]
        if ready:
            detail = f"must be the value itself: it is sealed here, and {MARK!r} cannot be given"
            raise InvalidJob(Problem(f"/payload/{_escaped(name)}", detail) for name in ready)

    def seal(self, text: str) -> str:
        """Return a checked payload with its fields sealed."""
        payload, keyring = json.loads(text), ring.current()
        for name in self.names & payload.keys():
            payload[name] = keyring.seal(payload[name], place=place_of(self.type, name))
        return json.dumps(payload, ensure_ascii=False, separators=(",", ":"))

    def opened(self, payload: Any) -> Any:
        """Return a stored payload as it was given; raise `InvalidPayload` that names the field and what to do.

        A plain value is from before the field was sealed, and is taken as it is.
        """
        if not isinstance(payload, dict):
            return payload
        found, problems, keyring = dict(payload), [], ring.current()
        for name in sorted(self.names & payload.keys()):
            if is_sealed(payload[name]):
                try:
                    found[name] = keyring.open(payload[name], place=place_of(self.type, name))
                except (ring.UnknownSealKey, ring.DamagedSeal) as exc:
                    problems.append(f"/payload/{_escaped(name)} {exc}, then retry the job")
        if problems:
            raise InvalidPayload("; ".join(problems))
        return found

    def problem(self, error: ErrorDetails, place: Sequence[object]) -> Problem:
        """Return what is wrong, without anything that may hold a sealed field's value."""
        kind = error["type"] if error["type"] in PYDANTICS else "value_error"
        if any(part in self.names for part in error["loc"]):
            at = f"/{_escaped(place[0])}" if place and place[0] in self.names else ""
            said = error["msg"] if kind == "missing" else f"is not what the field takes ({kind}); the value is sealed, and not shown"
            return Problem(f"/payload{at}", said)
        at = "".join(f"/{_escaped(part)}" for part in place)
        if not place or kind in OWN_WORDS:
            return Problem(f"/payload{at}", f"is refused ({kind}); why is not shown, because the type has sealed fields")
        return Problem(f"/payload{at}", error["msg"])


def sealing(type_name: str, model: type[pydantic.BaseModel], fields: Sequence[str]) -> Sealing:
    """Return how a type seals these fields of its payload, which may be named as in the model or as in JSON."""
    free = issubclass(model, pydantic.RootModel) or model.model_config.get("extra") == "allow"
    names: set[str] = set()
    for field in fields:
        found = [set(_spellings(name, model)) for name in model.model_fields if field in _spellings(name, model)]
        if not found and not free:
            known = ", ".join(model.model_fields)
            msg = f"{type_name}: sensitive names {field!r}, which is no field of {model.__name__}; its fields are {known}"
            raise ValueError(msg)
        names |= {field}.union(*found)
    return Sealing(type=type_name, names=frozenset(names))


def _spellings(name: str, model: type[pydantic.BaseModel]) -> Iterator[str]:
    field = model.model_fields[name]
    yield name
    for alias in (field.alias, field.validation_alias, field.serialization_alias):
        yield from _words(alias)


def _words(alias: object) -> Iterator[str]:
    match alias:
        case str():
            yield alias
        case pydantic.AliasPath(path=[str() as first, *_]):   # the whole member is sealed
            yield first
        case pydantic.AliasChoices(choices=choices):
            for choice in choices:
                yield from _words(choice)


def _escaped(part: object) -> str:
    return str(part).replace("~", "~0").replace("/", "~1")
