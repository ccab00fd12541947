"""/locks: who has which lock since when, what was done to it, and how an operator ends a grant.

A name is written percent-encoded in the address; `/` may stand as it is.
"""

from dataclasses import asdict
from datetime import datetime
from http import HTTPStatus
from typing import Any, Literal

import structlog
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema
from pydantic import BaseModel, Field
from rest_framework.request import Request
from rest_framework.response import Response

from core import audit
from core.api import pagination, parameters
from core.api.pagination import PageQuery
from core.api.parameters import Body, NoParameters, Reason
from core.api.permissions import IsAdmin, IsViewer
from core.api.problems import Problem
from core.api.views import ApiView
from core.locking import errors, looking, releasing
from locks.events import Event

log = structlog.get_logger(__name__)
RETRY = {"Retry-After": "1"}


class LocksQuery(PageQuery):
    """Which locks to list, by name."""

    prefix: str = Field("", max_length=255, pattern=r"^[^\x00]*$", description="Names that begin so.")
    held: bool | None = Field(None, description="Only those that somebody has, or only the others. Pages may be short then.")


class ReleaseBody(Body):
    """Which grant to end, and why."""

    token: int = Field(ge=1, lt=2**63, description="The token that you saw: a later grant of the lock is not touched.")
    reason: Reason = Field(description="Kept in the lock's history and the audit.")


class LockAnswer(BaseModel):
    """A lock."""

    name: str
    state: Literal["free", "held", "retired", "new"]
    token: int = Field(description="Of the latest grant, or more. It only rises.")
    holder: str | None = Field(description="Who has it.")
    since: datetime | None = Field(description="When its holder asked for it, by the holder's clock.")
    age_seconds: float | None
    lease_seconds: float | None
    free_in_seconds: float | None = Field(description="How long it can stay held if nobody renews it.")
    renewals: int | None
    waiters: int = Field(description="Jobs that wait for it. Others who wait leave no trace.")


class LockEvent(BaseModel):
    """Something that was done to a lock out of the ordinary."""

    at: datetime
    event: str = Field(
        description="force.asked, force.freed, force.over, force.unknown, taken_over, reaped, purged or floor.raised.",
    )
    token: int
    actor: str
    reason: str


class LockWithHistory(LockAnswer):
    """A lock and what was done to it, newest first."""

    history: list[LockEvent]


class LockPage(BaseModel):
    """Locks, by name."""

    items: list[LockAnswer]
    next: str | None


LOCK = {
    "name": "payment:7", "state": "held", "token": 1893488400000000, "holder": "worker1@host", "since": "2030-01-31T09:00:00Z",
    "age_seconds": 4.2, "lease_seconds": 30.0, "free_in_seconds": 25.8, "renewals": 0, "waiters": 3,
}
FREED = {
    **LOCK, "state": "free", "token": 1893488400000001, "holder": None, "since": None, "age_seconds": None,
    "lease_seconds": None, "free_in_seconds": None, "renewals": None,
}
EVENT = {
    "at": "2030-01-31T08:00:00Z", "event": "force.freed", "token": 1893484800000000, "actor": "token:1a2b3c4d (ci)",
    "reason": "its machine is gone",
}
NAME = OpenApiParameter(
    name="name", type={"type": "string", "minLength": 1, "maxLength": 255}, location=OpenApiParameter.PATH,
    description="Percent-encoded.",
)
LINK = OpenApiParameter(
    name="Link", type=OpenApiTypes.STR, location=OpenApiParameter.HEADER, response=[200],
    description='RFC 8288: `rel="first"`, and `rel="next"` when there is more.',
)


class LocksView(ApiView):
    """A view whose errors of locks become problems."""

    def handle_exception(self, exc: Exception) -> Response:
        """Answer an error of locks as the problem that it is."""
        response: Response = super().handle_exception(_refusal(exc))
        return response


class Locks(LocksView):
    permission_classes = (IsViewer,)

    @extend_schema(
        operation_id="locks_list", summary="List locks by name", parameters=[*parameters.openapi(LocksQuery), LINK],
        responses={200: OpenApiResponse(LockPage, description="A page of locks, each as it was a moment ago.")},
        examples=[OpenApiExample("answer", value={"items": [LOCK], "next": None}, response_only=True, status_codes=["200"])],
    )
    def get(self, request: Request) -> Response:
        query = parameters.read_query(LocksQuery, request)
        found = looking.page(prefix=query.prefix, after=pagination.after_name(query), limit=query.limit, held=query.held)
        page = pagination.of_names(found.items, following=found.next)
        return pagination.answer(page, request=request, items=[asdict(each) for each in page.items])


class OneLock(LocksView):
    permission_classes = (IsViewer,)

    @extend_schema(
        operation_id="locks_read", summary="Show a lock with its holder and its history", parameters=[NAME],
        responses={200: OpenApiResponse(LockWithHistory, description="The lock as it certainly was during this request.")},
        examples=[OpenApiExample("answer", value={**LOCK, "history": [EVENT]}, response_only=True, status_codes=["200"])],
    )
    def get(self, request: Request, name: str) -> Response:
        parameters.read_query(NoParameters, request)
        found = looking.one(name)
        return Response({**asdict(found), "history": [event(each) for each in looking.history(name)]})


class Release(LocksView):
    permission_classes = (IsAdmin,)

    @extend_schema(
        operation_id="locks_release", summary="End a grant: its token is refused from then on", request=ReleaseBody,
        parameters=[NAME],
        responses={200: OpenApiResponse(LockAnswer, description="It is over by this request. The lock as it is now.")},
        examples=[
            OpenApiExample("request", value={"token": LOCK["token"], "reason": "its machine is gone"}, request_only=True),
            OpenApiExample("answer", value=FREED, response_only=True, status_codes=["200"]),
        ],
    )
    def post(self, request: Request, name: str) -> Response:
        parameters.read_query(NoParameters, request)
        body = parameters.read_body(ReleaseBody, request)
        with audit.because(body.reason):
            return Response(asdict(releasing.release(name, token=body.token, reason=body.reason)))


def event(found: Event) -> dict[str, Any]:
    """Say an entry of a lock's history."""
    return {"at": found.at, "event": found.kind, "token": found.token, "actor": found.actor, "reason": found.reason}


def _refusal(exc: Exception) -> Exception:
    match exc:
        case errors.LockNotFound():
            return Problem(status=HTTPStatus.NOT_FOUND, detail=str(exc))
        case errors.GrantOver():
            facts = {"token": exc.row.fence if exc.row is not None else None}
            return Problem(status=HTTPStatus.CONFLICT, kind="lock-grant-over", detail=str(exc), facts=facts)
        case errors.LocksAway():
            log.warning("locks.away", why=exc.why)
            return Problem(status=HTTPStatus.SERVICE_UNAVAILABLE, kind="locks-away", detail=str(exc), headers=RETRY)
        case errors.LockOutcomeUnknown():
            log.warning("locks.unknown", name=exc.name, why=exc.why)
            return Problem(status=HTTPStatus.SERVICE_UNAVAILABLE, kind="lock-outcome-unknown", detail=str(exc), headers=RETRY)
        case _:
            return exc
