"""Lists by cursor: a page costs the same wherever it is, and rows that come or go shift nothing."""

import base64
import binascii
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any, Generic, TypeVar, cast

import pydantic
from django.core.exceptions import ValidationError
from django.db.models import Field, Model, Q, QuerySet
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import remove_query_param, replace_query_param

from core.api.parameters import Query
from core.api.problems import FieldError, Problem

MAX_LIMIT = 200
ModelT = TypeVar("ModelT", bound=Model)
ItemT = TypeVar("ItemT")


class PageQuery(Query):
    """What every list takes."""

    limit: int = pydantic.Field(50, ge=1, le=MAX_LIMIT, description="How many items a page has at most.")
    cursor: str | None = pydantic.Field(
        None, max_length=500, pattern=r"^[^\x00]*$", description="Where to go on: taken from `next`, not made up.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[ItemT]):
    """Some items, and the cursor of what follows them, if anything does."""

    items: Sequence[ItemT]
    cursor: str | None


def of_rows(rows: QuerySet[ModelT], *, query: PageQuery, order: tuple[str, ...]) -> Page[ModelT]:
    """Return a page of rows in this order, whose last field must be unique and whose directions must all be alike."""
    names = [name.lstrip("-") for name in order]
    after = "lt" if order[0].startswith("-") else "gt"
    if query.cursor is not None:
        rows = rows.filter(_beyond(names, _values(rows.model, names, query.cursor), after))
    found = list(rows.order_by(*order)[: query.limit + 1])
    items = found[: query.limit]
    following = _encode([_text(getattr(items[-1], name)) for name in names]) if len(found) > query.limit else None
    return Page(items=items, cursor=following)


def of_list(items: Iterable[ItemT], *, query: PageQuery, key: Callable[[ItemT], str]) -> Page[ItemT]:
    """Return a page of something small, in the order of a unique key."""
    after = _decode(query.cursor, 1)[0] if query.cursor is not None else ""
    found = sorted((item for item in items if key(item) > after), key=key)
    page = found[: query.limit]
    return Page(items=page, cursor=_encode([key(page[-1])]) if len(found) > query.limit else None)


def after_name(query: PageQuery) -> str:
    """Return the name after which a list by names goes on, for what keeps its order elsewhere; "" at the beginning."""
    if query.cursor is None:
        return ""
    try:
        found = json.loads(_decode(query.cursor, 1)[0])
    except ValueError as exc:
        raise _foreign() from exc
    if not isinstance(found, str) or "\0" in found:
        raise _foreign()
    return found


def of_names(items: Sequence[ItemT], *, following: str) -> Page[ItemT]:
    """Return a page of such a list; `following` is the name to go on after, "" at the end. It may be any text."""
    return Page(items=items, cursor=_encode([json.dumps(following)]) if following else None)


def answer(page: Page[Any], *, request: Request, items: list[Any]) -> Response:
    """Return the list's shape, with the same addresses in RFC 8288 `Link`."""
    here = request.build_absolute_uri()
    following = replace_query_param(here, "cursor", page.cursor) if page.cursor else None
    links = [f'<{remove_query_param(here, "cursor")}>; rel="first"']
    if following:
        links.append(f'<{following}>; rel="next"')
    return Response({"items": items, "next": following}, headers={"Link": ", ".join(links)})


def _beyond(names: list[str], values: list[Any], after: str) -> Q:
    """Say `(a, b) < (x, y)` so that an index on (a, b) is entered at x: a ≤ x first, then the finer choice."""
    finer = Q(pk__in=[])
    for place, name in enumerate(names):
        equal = {names[before]: values[before] for before in range(place)}
        finer |= Q(**equal, **{f"{name}__{after}": values[place]})
    return Q(**{f"{names[0]}__{after}e": values[0]}) & finer


def _values(model: type[Model], names: list[str], cursor: str) -> list[Any]:
    try:
        values = [
            cast("Field[Any, Any]", model._meta.get_field(name)).to_python(text)  # noqa: SLF001  Django's documented way
            for name, text in zip(names, _decode(cursor, len(names)), strict=True)
        ]
    except (ValidationError, ValueError, TypeError, OverflowError) as exc:
        raise _foreign() from exc
    if any(isinstance(value, datetime) and value.tzinfo is None for value in values):
        raise _foreign()
    return values


def _text(value: Any) -> str:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _encode(values: list[str]) -> str:
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


def _decode(cursor: str, length: int) -> list[str]:
    try:
        values = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError) as exc:
        raise _foreign() from exc
    if not isinstance(values, list) or len(values) != length or not all(_is_text(value) for value in values):
        raise _foreign()
    return values


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and "\0" not in value and value.isprintable()


def _foreign() -> Problem:
    error = FieldError(pointer="/cursor", detail="is not a cursor of this list: take it from `next`, or leave it out")
    return Problem(
        status=HTTPStatus.NOT_FOUND, kind="unknown-cursor", detail=f"cursor: {error.detail}", errors=[error],
    )
