"""What comes with a request, checked: query parameters and bodies that know all their names."""

import re
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any, TypeVar, get_args, get_origin

import pydantic
from drf_spectacular.utils import OpenApiParameter
from pydantic import AfterValidator, AwareDatetime, BeforeValidator, ConfigDict, Field
from rest_framework.request import Request

from core.api.parsers import unstorable
from core.api.problems import FieldError, Problem, invalid, pydantic_errors
from core.audit import LONGEST_REASON

RFC_3339 = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.ASCII | re.IGNORECASE,
)


class Query(pydantic.BaseModel):
    """The query parameters of a route; one that is not a field is refused, a list field may be repeated."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Body(pydantic.BaseModel):
    """The JSON object that a route reads; a member that is not a field is refused, and "1" is not 1."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Nothing(Body):
    """The body of a route that needs none: absent, or an empty object."""


class NoParameters(Query):
    """The query of a route that has none."""


def _moment(value: object) -> datetime:
    if not isinstance(value, str) or not RFC_3339.fullmatch(value):
        hint = "; in an address, + is written %2B" if isinstance(value, str) and " " in value else ""
        raise ValueError(f"must be a moment with its offset, as in 2030-01-31T09:00:00Z{hint}")
    try:
        return datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError) as exc:
        raise ValueError(f"is no moment of the calendar: {exc}") from exc


Moment = Annotated[AwareDatetime, BeforeValidator(_moment), Field(strict=False)]
"""RFC 3339 with an offset, in UTC from here on. A number is none: nobody can tell its unit."""


def _said(text: str) -> str:
    if not text.strip():
        raise ValueError("says nothing: write why")
    return text.strip()


Reason = Annotated[str, AfterValidator(_said), Field(min_length=1, max_length=LONGEST_REASON, pattern=r"^[^\x00]*$")]
"""Why somebody does it, in a few words: a person reads it later."""

Remark = Annotated[str, AfterValidator(str.strip), Field(max_length=LONGEST_REASON, pattern=r"^[^\x00]*$")]
"""The same where it may be left out, or blank."""

QueryT = TypeVar("QueryT", bound=Query)
BodyT = TypeVar("BodyT", bound=Body)


def read_query(model: type[QueryT], request: Request) -> QueryT:
    """Return the query parameters; a wrong or unknown one is a 400 that lists what is known."""
    known, values, errors = model.model_fields, {}, []
    for name, given in request.query_params.lists():
        several = name in known and get_origin(known[name].annotation) in {list, tuple}
        if name not in known:
            some = f"known are {', '.join(sorted(known))}" if known else "this address takes none"
            errors.append(FieldError(pointer=f"/{_shown(name)}", detail=f"is not a parameter; {some}"))
        elif why := next(filter(None, map(unstorable, given)), ""):
            errors.append(FieldError(pointer=f"/{name}", detail=why))
        elif len(given) > 1 and not several:
            errors.append(FieldError(pointer=f"/{name}", detail="stands more than once: give one value"))
        else:
            values[name] = given if several else given[0]
    if not errors:
        try:
            return model.model_validate(values)
        except pydantic.ValidationError as exc:
            errors = pydantic_errors(exc)
    raise Problem(
        status=HTTPStatus.BAD_REQUEST,
        kind="invalid-parameters",
        detail="; ".join(f"{error.pointer.removeprefix('/')}: {error.detail}" for error in errors[:5]),
        errors=errors,
    )


def read_body(model: type[BodyT], request: Request) -> BodyT:
    """Return the body; a wrong, missing or unknown member is a 422 with a pointer to it."""
    data = request.data
    if not isinstance(data, dict):
        raise invalid([FieldError(pointer="", detail="must be a JSON object")])
    try:
        return model.model_validate(data)
    except pydantic.ValidationError as exc:
        errors = [
            FieldError(pointer=error.pointer, detail=_not_a_member(model, found["loc"]))
            if found["type"] == "extra_forbidden" else error
            for error, found in zip(pydantic_errors(exc), exc.errors(include_url=False), strict=True)
        ]
        raise invalid(errors) from exc


def openapi(model: type[Query]) -> list[OpenApiParameter]:
    """Return the parameters for the API's description."""
    schema = model.model_json_schema()
    return [
        OpenApiParameter(
            name=name,
            type=_inlined(facts, schema.get("$defs", {})),
            location=OpenApiParameter.QUERY,
            description=facts.get("description", ""),
            required=name in schema.get("required", []),
        )
        for name, facts in schema.get("properties", {}).items()
    ]


def _inlined(facts: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """Return a parameter's schema: it is absent rather than null, and has no room of its own for definitions."""
    options = [option for option in facts.get("anyOf", [facts]) if option.get("type") != "null"]
    found: dict[str, Any] = dict(options[0]) if len(options) == 1 else {"anyOf": options}
    if reference := found.pop("$ref", None):
        found = {**definitions[reference.rsplit("/", 1)[-1]], **found}
    if "items" in found:
        found["items"] = _inlined(found["items"], definitions)
    return {key: value for key, value in found.items() if key not in {"title", "default", "description"}}


def _not_a_member(model: type[Body], path: tuple[int | str, ...]) -> str:
    known = ", ".join(sorted(_names(model, path)))
    return f"is not a member; known are {known}" if known else "is not a member: this request needs no body"


def _names(model: type[Body], path: tuple[int | str, ...]) -> list[str]:
    """Return the members that the object has in which the path's last part stands."""
    fields = {field.alias or name: field for name, field in model.model_fields.items()}
    for place, part in enumerate(path[:-1]):
        if part in fields and (inner := _body_in(fields[str(part)].annotation)):
            return _names(inner, path[place + 1:])
    return list(fields)


def _body_in(annotation: Any) -> type[Body] | None:
    if isinstance(annotation, type) and issubclass(annotation, Body):
        return annotation
    return next(filter(None, map(_body_in, get_args(annotation))), None)


def _shown(name: str) -> str:
    return name.encode("ascii", "backslashreplace").decode().replace("\0", "\\0")[:100]
