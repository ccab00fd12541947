"""The API's description in OpenAPI 3.1: what every route shares is said here once."""

from http import HTTPStatus
from typing import Any, Literal

import pydantic
from drf_spectacular.contrib.pydantic import PydanticExtension
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ResolvedComponent
from rest_framework.permissions import SAFE_METHODS

from core.api.permissions import Public
from core.api.problems import MEDIA_TYPE

REFUSALS = {
    400: "A parameter, the JSON or a header is malformed.",
    401: "There is no valid token or session.",
    403: "The role does not allow it, or the CSRF token is missing.",
    404: "There is no such thing, or no such place in the list.",
    405: "The address does not take this method; `Allow` lists those it takes.",
    406: "Only JSON is spoken.",
    409: "The state of things forbids it at the moment.",
    410: "It was there once, and is deleted.",
    413: "The body is too large.",
    414: "The address is longer than 8,190 bytes.",
    415: "The body is not `application/json`.",
    422: "The JSON is not what is asked for; `errors` points at each member.",
    429: "Too many writes from this address; `Retry-After` says when to come back.",
    500: "A mistake on our side; `request_id` finds it in the logs.",
    503: "A store does not answer, or the installation is read-only; nothing was changed.",
}
ALWAYS = (400, 401, 403, 406, 414, 500, 503)
NAMING_WHAT_MAY_BE_ABSENT = (404,)
WRITING = (409, 413, 415, 422, 429)
HEADERS = {
    401: {"WWW-Authenticate": "How to authenticate."},
    429: {
        "Retry-After": "Seconds to wait.",
        "RateLimit": "What is left, and for how long.",
        "RateLimit-Policy": "The quota and its window.",
    },
}


class ErrorEntry(pydantic.BaseModel):
    """One wrong thing: where it is, as an RFC 6901 pointer, and what to do."""

    pointer: str
    detail: str


class Problem(pydantic.BaseModel):
    """RFC 9457 problem details."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[ErrorEntry]
    request_id: str


class Schema(AutoSchema):
    """What REST framework says of a view, without its own ideas about filters and names."""

    def get_tags(self) -> list[str]:
        """Group by the first word after the version."""
        return [self.path.removeprefix("/api/v1/").split("/")[0]]

    def get_description(self) -> str:  # type: ignore[override]  # as the library itself overrides it
        """Say nothing that was written for readers of the code."""
        return ""

    def get_auth(self) -> list[dict[str, list[str]]]:
        """Say how to authenticate, where that is asked for."""
        if any(isinstance(permission, Public) for permission in self.view.get_permissions()):
            return []
        found: list[dict[str, list[str]]] = super().get_auth()
        return found


class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # the library has no types
    target_class = "core.api.authentication.BearerAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:  # noqa: ARG002  the library's interface
        """Describe it."""
        return {
            "type": "http", "scheme": "bearer", "bearerFormat": "lw_<prefix>_<secret>",
            "description": "A token of `manage.py tokens_create NAME --role viewer|operator|admin`.",
        }


class SessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # the library has no types
    target_class = "core.api.authentication.SessionAuthentication"
    name = "session"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:  # noqa: ARG002  the library's interface
        """Describe it."""
        return {
            "type": "apiKey", "in": "cookie", "name": "sessionid",
            "description": "Logged in to this site; what changes something also sends `X-CSRFToken`.",
        }


class ModelExtension(PydanticExtension):  # type: ignore[no-untyped-call]  # the library has no types
    """Pydantic models as they are read in requests: the library shows them as they are written, with all defaults."""

    priority = 1

    def map_serializer(self, auto_schema: Any, direction: str) -> dict[str, Any]:
        """Return the model's schema, its parts registered as components."""
        mode: Literal["validation", "serialization"] = "validation" if direction == "request" else "serialization"
        schema = self.target.model_json_schema(ref_template="#/components/schemas/{model}", mode=mode)
        for name, part in schema.pop("$defs", {}).items():
            component = ResolvedComponent(  # type: ignore[no-untyped-call]  # as above
                name=name, type=ResolvedComponent.SCHEMA, object=name, schema=part,
            )
            auto_schema.registry.register_on_missing(component)
        found: dict[str, Any] = schema
        return found


def with_problems(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Add to each route the refusals that it can answer with."""
    schemas = result.setdefault("components", {}).setdefault("schemas", {})
    for model in (ErrorEntry, Problem):
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
        schema.pop("$defs", None)
        schemas[model.__name__] = schema
    for path, methods in result.get("paths", {}).items():
        for method, operation in methods.items():
            statuses = {*ALWAYS, *operation.pop("x-refusals", ())}
            if "{" in path or any(each["name"] == "cursor" for each in operation.get("parameters", ())):
                statuses.update(NAMING_WHAT_MAY_BE_ABSENT)
            if method.upper() not in SAFE_METHODS:
                statuses.update(WRITING)
            if not operation.get("security"):
                statuses -= {401, 403}
            for status in sorted(statuses):
                operation["responses"].setdefault(str(status), _refusal(status))
    return result


def _refusal(status: int) -> dict[str, Any]:
    reference = {"$ref": "#/components/schemas/Problem"}
    example = {
        "type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": REFUSALS[status],
        "errors": [], "request_id": "01a21325-e0ef-7094-97c6-de15bf3cc3f3",
    }
    content = {MEDIA_TYPE: {"schema": reference, "examples": {"refusal": {"value": example}}}}
    answer: dict[str, Any] = {"description": REFUSALS[status], "content": content}
    if status in HEADERS:
        answer["headers"] = {
            name: {"description": text, "schema": {"type": "string"}} for name, text in HEADERS[status].items()
        }
    return answer
