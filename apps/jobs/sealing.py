"""The sealed fields of a job type: plain in the caller and in the handler, sealed everywhere between.

Cryptography is loaded with the first value that is sealed or opened, so that nobody else pays for it.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, get_args

import pydantic
from pydantic_core import ErrorDetails, core_schema

from apps.jobs.errors import TOLD, InvalidJob, InvalidPayload, Problem
from core.sealing import form
from core.sealing.form import EACH, MARK, MOST_WORDS, Way, is_sealed

if TYPE_CHECKING:
    from core.sealing.ring import Ring

OWN_WORDS = {"value_error", "assertion_error"}   # whose text the model's code writes, around the value perhaps
PYDANTICS = frozenset(get_args(core_schema.ErrorType))   # whose text is pydantic's


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealing:
    """What of a type's payload is sealed; `ways` has every spelling that the model takes."""

    type: str
    ways: frozenset[Way]

    def dumped(self, payload: pydantic.BaseModel) -> Any:
        """Return a model as JSON's types, with what its own secrets hide; pydantic's warnings would show values."""
        given = payload.model_dump(mode="json", by_alias=True, warnings=False)
        if isinstance(given, dict):
            plain = payload.model_dump(by_alias=True, warnings=False)
            for name in {way[0] for way in self.ways} & given.keys():
                if isinstance(plain.get(name), pydantic.SecretStr):
                    given[name] = plain[name].get_secret_value()
        return given

    def refuse(self, payload: object) -> None:
        """Raise `InvalidJob` for a payload that cannot be sealed, or that somebody has sealed already."""
        if not isinstance(payload, dict):
            raise InvalidJob([Problem("/payload", "must be an object: its type seals some of the fields")])
        detail = f"must be the value itself: it is sealed here, and {MARK!r} cannot be given"
        problems: list[Problem] = []

        def look(way: Way, value: Any) -> Any:
            if is_sealed(value):
                problems.append(Problem(_pointer(way), detail))
            return value

        form.replaced(payload, look, ways=self.ways)
        if problems:
            raise InvalidJob(problems)

    def seal(self, text: str) -> str:
        """Return a checked payload with its fields sealed."""
        keyring: Ring | None = None

        def seal(way: Way, value: Any) -> Any:
            nonlocal keyring
            keyring = keyring or _ring()
            return keyring.seal(value, place=form.place(self.type, *way))

        payload = form.replaced(json.loads(text), seal, ways=self.ways)
        return text if keyring is None else json.dumps(payload, ensure_ascii=False, separators=(",", ":"))

    def opened(self, payload: Any) -> Any:
        """Return a stored payload as it was given; raise `InvalidPayload` that names the field and what to do.

        A plain value is from before the field was sealed, and is taken as it is.
        """
        problems: list[str] = []

        def opened(way: Way, value: Any) -> Any:
            if not is_sealed(value):
                return value
            from core.sealing import ring  # noqa: PLC0415  see above

            try:
                return ring.current().open(value, place=form.place(self.type, *way))
            except (ring.UnknownSealKey, ring.DamagedSeal) as exc:
                problems.append(f"{_pointer(way)} {exc}, then retry the job")

        found = form.replaced(payload, opened, ways=self.ways)
        if problems:
            raise InvalidPayload("; ".join(sorted(problems)))
        return found

    def problem(self, error: ErrorDetails, place: Sequence[object]) -> Problem:
        """Return what is wrong, without anything that may hold a sealed field's value."""
        kind = error["type"] if error["type"] in PYDANTICS or error["type"] == TOLD else "value_error"
        said = error["msg"]
        if any(_passes(error["loc"], way) for way in self.ways):
            place = next((place[: len(way)] for way in self.ways if _leads(place, way)), ())
            if kind not in ("missing", TOLD):
                said = f"is not what the field takes ({kind}); the value is sealed, and not shown"
        elif kind in OWN_WORDS or not (place or kind == TOLD):
            said = f"is refused ({kind}); why is not shown, because the type has sealed fields"
        return Problem(_pointer(place), said)

    def described(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Mark in the JSON Schema what is only written: answers show "(sealed)" in its place."""
        for way in self.ways:
            nodes = [schema]
            for word in way:
                nodes = [below for node in nodes for below in _below(node, word, definitions=schema.get("$defs", {}))]
            for node in nodes:
                node["writeOnly"] = True
        return schema


def sealing(type_name: str, model: type[pydantic.BaseModel], fields: Sequence[str]) -> Sealing:
    """Return how a type seals these fields of its payload, which may be named as in the model or as in JSON.

    `a.b` is a member of a member, `a.*` each member of an object.
    """
    ways: set[Way] = set()
    for field in fields:
        words = tuple(field.split("."))
        if len(words) > MOST_WORDS or not all(words) or words[0] == EACH:
            msg = f"{type_name}: sensitive names {field!r}: give names joined by dots, at most {MOST_WORDS}, or {EACH} behind one"
            raise ValueError(msg)
        ways |= set(product(*_spelt(type_name, model, field=field, words=words)))
    return Sealing(type=type_name, ways=frozenset(ways))


def _spelt(type_name: str, model: type[pydantic.BaseModel], *, field: str, words: Way) -> Iterator[set[str]]:
    """Yield for each word of a way in which spellings it may come; raise ValueError for one that the models have not."""
    models = [model]
    for word in words:
        free = word == EACH or not models or any(map(_is_free, models))
        found = [(each, name) for each in models for name in each.model_fields if word in _spellings(name, each)]
        if not found and not free:
            known = ", ".join(name for each in models for name in each.model_fields)
            owner = " or ".join(each.__name__ for each in models)
            msg = f"{type_name}: sensitive names {field!r}, which is no field of {owner}; its fields are {known}"
            raise ValueError(msg)
        yield {word}.union(*(_spellings(name, each) for each, name in found))
        models = [below for each, name in found for below in _models(each.model_fields[name].annotation)]


def _is_free(model: type[pydantic.BaseModel]) -> bool:
    return issubclass(model, pydantic.RootModel) or model.model_config.get("extra") == "allow"


def _models(annotation: object) -> Iterator[type[pydantic.BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)


def _below(node: Mapping[str, Any], word: str, *, definitions: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the schemas of a member, through references and alternatives."""
    if "$ref" in node:
        node = definitions.get(node["$ref"].rpartition("/")[2], {})
    if word in (members := node.get("properties", {})):
        yield members[word]
    if word == EACH:
        yield from members.values()
        if isinstance(node.get("additionalProperties"), dict):
            yield node["additionalProperties"]
    for other in (*node.get("anyOf", ()), *node.get("oneOf", ()), *node.get("allOf", ())):
        yield from _below(other, word, definitions=definitions)


def _leads(place: Sequence[object], way: Way) -> bool:
    """Whether a place lies at a way or behind it."""
    return len(place) >= len(way) and all(word in (EACH, part) for word, part in zip(way, place, strict=False))


def _passes(loc: Sequence[object], way: Way) -> bool:
    """Whether a place of pydantic, which holds names of union members too, may lie at a way or behind it."""
    rest = iter(loc)
    return all(any(word in (EACH, part) for part in rest) for word in way)


def _ring() -> "Ring":
    from core.sealing import ring  # noqa: PLC0415  see above

    return ring.current()


def _pointer(place: Sequence[object]) -> str:
    return "/payload" + "".join(f"/{_escaped(part)}" for part in place)


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
