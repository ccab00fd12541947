"""GET /audit: who did what, for admins."""

from datetime import datetime
from typing import Annotated, Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema
from pydantic import BaseModel, Field
from rest_framework.request import Request
from rest_framework.response import Response

from core.api import pagination, parameters
from core.api.pagination import PageQuery
from core.api.parameters import Moment
from core.api.permissions import IsAdmin
from core.api.views import ApiView
from core.audit import reading
from core.audit.models import AuditEntry

Word = Annotated[str, Field(min_length=1, max_length=300, pattern=r"^[^\x00]*$")]   # what PostgreSQL can hold


class AuditQuery(PageQuery):
    """Which entries to list, newest first."""

    actor: Word | None = Field(None, description="As the entries have it: token:1a2b3c4d, user:7, terminal:root.")
    action: Word | None = Field(None, description="As in job.retry or queue.pause.")
    target: Word | None = Field(None, description="As in job:<id> or queue:mail.")
    request_id: Word | None = Field(None, description="All that one request did.")
    created_after: Moment | None = Field(None, description="This moment and later.")
    created_before: Moment | None = Field(None, description="Earlier than this moment.")


class AuditAnswer(BaseModel):
    """Something that somebody did."""

    id: int
    at: datetime
    actor: str = Field(description="token:<prefix>, user:<id>, terminal:<name> or system.")
    actor_name: str
    role: str
    channel: str = Field(description="api, admin, command, web or system.")
    address: str = Field(description="The client's address, or the machine with the terminal.")
    action: str
    target: str
    before: dict[str, Any] | None = Field(description="What changed, as it was.")
    after: dict[str, Any] | None = Field(description="What changed, as it is.")
    request_id: str


class AuditPage(BaseModel):
    """Entries, newest first."""

    items: list[AuditAnswer]
    next: str | None


EXAMPLE = {
    "id": 4711, "at": "2030-01-31T09:00:00Z", "actor": "token:1a2b3c4d", "actor_name": "ci", "role": "operator",
    "channel": "api", "address": "203.0.113.9", "action": "queue.pause", "target": "queue:mail",
    "before": {"paused": False}, "after": {"paused": True, "reason": "the mail server is being moved"},
    "request_id": "01a21325-e0ef-7094-97c6-de15bf3cc3f3",
}
LINK = OpenApiParameter(
    name="Link", type=OpenApiTypes.STR, location=OpenApiParameter.HEADER, response=[200],
    description='RFC 8288: `rel="first"`, and `rel="next"` when there is more.',
)


class Audit(ApiView):
    permission_classes = (IsAdmin,)

    @extend_schema(
        operation_id="audit_list",
        summary="List what operators did, newest first",
        parameters=[*parameters.openapi(AuditQuery), LINK],
        responses={200: OpenApiResponse(AuditPage, description="A page of the audit.")},
        examples=[OpenApiExample("answer", value={"items": [EXAMPLE], "next": None}, response_only=True, status_codes=["200"])],
    )
    def get(self, request: Request) -> Response:
        query = parameters.read_query(AuditQuery, request)
        rows = reading.matching(**query.model_dump(exclude={"limit", "cursor"}))
        page = pagination.of_rows(rows, query=query, order=("-id",))
        return pagination.answer(page, request=request, items=[facts(row) for row in page.items])


def facts(row: AuditEntry) -> dict[str, Any]:
    """Say an entry."""
    return {name: getattr(row, name) for name in AuditAnswer.model_fields}
