"""One shape for every refusal: RFC 9457 `application/problem+json`, with a JSON pointer for each wrong field.

A view raises `Problem`, or anything that Django, REST framework, pydantic or the database raise: `handle` turns all of
them into the same shape. What was not foreseen becomes a 500 that says nothing but its request id.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from http import HTTPStatus
from typing import Any

import pydantic
import structlog
from django.core.exceptions import PermissionDenied
from django.core.signals import got_request_exception
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from rest_framework import exceptions
from rest_framework.response import Response

from core.observability.request_id import current_request_id

MEDIA_TYPE = "application/problem+json"
TYPES = "urn:latchwork:problem:"   # names, not addresses: they stay when a host moves
QUOTA_EXCEEDED = "https://iana.org/assignments/http-problem-types#quota-exceeded"
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldError:
    """One wrong thing: where it is (RFC 6901; "" is the whole) and what to do."""

    pointer: str
    detail: str


class Problem(exceptions.APIException):
    """A refusal with its facts. `kind` is the last part of its `type`; without one the status speaks for itself."""

    def __init__(
        self,
        *,
        status: HTTPStatus,
        detail: str,
        kind: str = "",
        title: str = "",
        errors: Iterable[FieldError] = (),
        headers: Mapping[str, str] | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status_code = status
        self.type = kind if kind.startswith("https:") else f"{TYPES}{kind}" if kind else "about:blank"
        self.title = title or (kind.replace("-", " ").capitalize() if kind and ":" not in kind else status.phrase)
        self.errors = list(errors)
        self.headers = dict(headers or {})
        self.facts = dict(facts or {})

    def body(self) -> dict[str, Any]:
        """Return the members of the answer."""
        return {
            **self.facts,
            "type": self.type,
            "title": self.title,
            "status": int(self.status_code),
            "detail": str(self.detail),
            "errors": [asdict(error) for error in self.errors],
            "request_id": current_request_id(),
        }


def pointer(path: Iterable[object]) -> str:
    """Return the RFC 6901 pointer of a path of keys and indexes."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def invalid(errors: Iterable[FieldError]) -> Problem:
    """Return the refusal of a body that is JSON but not what was asked for."""
    errors = list(errors)
    detail = "; ".join(f"{error.pointer or 'the body'}: {error.detail}" for error in errors[:5])
    return Problem(status=HTTPStatus.UNPROCESSABLE_ENTITY, kind="invalid-body", detail=detail, errors=errors)


def pydantic_errors(exc: pydantic.ValidationError) -> list[FieldError]:
    """Return one `FieldError` for each thing that pydantic found."""
    return [
        FieldError(pointer=pointer(error["loc"]), detail=error["msg"].removeprefix("Value error, "))
        for error in exc.errors(include_url=False, include_context=False, include_input=False)
    ]


def handle(exc: Exception, context: dict[str, Any]) -> Response:
    """Answer any exception of a view; REST framework calls this (`EXCEPTION_HANDLER`)."""
    problem = translate(exc)
    response = Response(problem.body(), status=problem.status_code, headers=problem.headers, content_type=MEDIA_TYPE)
    if problem.status_code == HTTPStatus.INTERNAL_SERVER_ERROR:
        log.error("request.failed", exc_info=exc)
        request = context.get("request")
        got_request_exception.send(sender=None, request=getattr(request, "_request", request))
    elif problem.status_code == HTTPStatus.SERVICE_UNAVAILABLE:
        log.warning("request.unavailable", error=str(exc))
    response._has_been_logged = True  # type: ignore[attr-defined]  # noqa: SLF001  Django's word for it: said once
    return response


def translate(exc: Exception) -> Problem:  # noqa: PLR0911  one clause for each kind of exception
    """Return what an exception means to a client; one that nobody foresaw means a 500."""
    match exc:
        case Problem():
            return exc
        case pydantic.ValidationError():
            return invalid(pydantic_errors(exc))
        case exceptions.ValidationError():
            return invalid(_flat(exc.detail, ()))
        case Http404():
            return Problem(status=HTTPStatus.NOT_FOUND, detail="there is nothing at this address")
        case PermissionDenied():
            return Problem(status=HTTPStatus.FORBIDDEN, detail=str(exc) or "this is not allowed")
        case exceptions.APIException():
            status = HTTPStatus(exc.status_code)
            return Problem(status=status, detail=_sentence(exc), headers=_headers(exc))
        case OperationalError() | InterfaceError():
            return Problem(
                status=HTTPStatus.SERVICE_UNAVAILABLE,
                detail="the database does not answer: try again in a moment",
                headers={"Retry-After": "1"},
            )
        case _:
            return Problem(
                status=HTTPStatus.INTERNAL_SERVER_ERROR,
                detail="something went wrong on our side; whoever runs this server finds it by the request_id",
            )


def plain(problem: Problem) -> HttpResponse:
    """Return a problem as an answer of Django's own, for what never reaches REST framework."""
    response = HttpResponse(
        json.dumps(problem.body()), status=problem.status_code, content_type=MEDIA_TYPE, headers=problem.headers,
    )
    response["Cache-Control"] = "no-store"
    return response


@csrf_exempt   # else a POST to nowhere would be told about CSRF
def unknown_route(request: HttpRequest) -> HttpResponse:
    """Answer an address under the API at which there is nothing."""
    detail = f"there is nothing at {request.path}: the routes are listed at /api/v1/schema"
    return plain(Problem(status=HTTPStatus.NOT_FOUND, detail=detail))


def _sentence(exc: exceptions.APIException) -> str:
    return str(exc.detail) if isinstance(exc.detail, str) else json.dumps(exc.detail, default=str)


def _headers(exc: exceptions.APIException) -> dict[str, str]:
    headers = {}
    if auth_header := getattr(exc, "auth_header", None):
        headers["WWW-Authenticate"] = auth_header
    if wait := getattr(exc, "wait", None):
        headers["Retry-After"] = str(int(wait))
    return headers


def _flat(detail: Any, path: tuple[object, ...]) -> list[FieldError]:
    if isinstance(detail, dict):
        return [
            error for key, value in detail.items()
            for error in _flat(value, path if key == "non_field_errors" else (*path, key))
        ]
    if isinstance(detail, list):
        nested = any(isinstance(value, dict | list) for value in detail)
        return [
            error for index, value in enumerate(detail)
            for error in _flat(value, (*path, index) if nested else path)
        ]
    return [FieldError(pointer=pointer(path), detail=str(detail))]
