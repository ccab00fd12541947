"""How the routes are described in OpenAPI, apart from the views, so that those can be read."""

from collections.abc import Callable
from typing import Any, TypeVar

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema

from apps.jobs.api.answers import ArtifactAnswer, JobAnswer, QueueAnswer
from core.api import idempotency
from core.api.pagination import PageQuery
from core.api.parameters import Nothing, Query, openapi

ViewT = TypeVar("ViewT", bound=Callable[..., Any])

JOB: dict[str, Any] = {
    "id": "01a21325-e0ef-7094-97c6-de15bf3cc3f3", "type": "http.request", "queue": "default", "priority": 5,
    "status": "queued", "payload": {"method": "GET", "url": "https://example.com/"}, "result": None, "error": None,
    "attempt": 0, "max_attempts": 5, "failures": 0, "rescues": 0, "fence": None, "worker": None, "tags": ["report"],
    "unique_key": None, "progress": None, "run_at": "2030-01-31T09:00:00Z", "created_at": "2030-01-31T09:00:00Z",
    "started_at": None, "finished_at": None, "cancel_requested_at": None, "cron_id": None, "scheduled_for": None,
}
NEW_JOB = {"type": "http.request", "payload": {"method": "GET", "url": "https://example.com/"}, "tags": ["report"]}
ATTEMPT = {
    "number": 1, "fence": 42, "worker": "01a21325-e0f1-720a-8c07-ef20424ba557", "lock_token": None,
    "outcome": "failed", "error": {"class": "ConnectTimeout", "message": "no answer in 5 s", "traceback": ""},
    "started_at": "2030-01-31T09:00:00Z", "finished_at": "2030-01-31T09:00:05Z",
}
JOB_TYPE = {
    "name": "http.request", "description": "Call another server, or send it a signed webhook.", "queue": "default",
    "priority": 5, "max_attempts": 5, "timeout_seconds": 300.0, "payload_version": 1,
    "enqueue_role": "operator", "act_role": None, "lock": None,
    "payload_schema": {"type": "object", "properties": {"url": {"type": "string"}}, "required": ["url"]},
}
QUEUE = {
    "name": "default", "waiting": 3, "running": 1, "oldest_waiting_seconds": 0.4, "paused": False, "paused_at": None,
    "paused_by": "", "paused_reason": "",
}
WORKER = {
    "id": "01a21325-e0f1-720a-8c07-ef20424ba557", "name": "worker-1@host", "host": "host", "pid": 4711,
    "pool": "prefork", "slots": 2, "queues": ["default"], "types": {"http.request": 1}, "running": [JOB["id"]],
    "code_version": "0.1.0", "metrics_port": None, "started_at": "2030-01-31T08:00:00Z",
    "seen_at": "2030-01-31T09:00:00Z", "lease_until": "2030-01-31T09:00:30Z", "stopping_at": None,
}
STALE = {
    "job_id": JOB["id"], "fence": 41, "worker": WORKER["id"], "outcome": "completed", "at": "2030-01-31T09:00:00Z",
}
ARTIFACT = {
    "id": "01a21325-e0f3-7b52-8f0e-3c9a5d1e7f60", "job_id": JOB["id"], "name": "report.csv", "content_type": "text/plain",
    "size": 8, "sha256": "492d5ea496056f1a6a6592241032fab764c321596317930b4fa0e1e8bc3b7470",
    "created_at": "2030-01-31T09:00:00Z", "expires_at": "2030-02-07T09:00:00Z",
}
STATS = {
    "total_jobs": 120, "active_jobs": 4, "completed_jobs": 115, "failed_jobs": 1, "dead_letter_jobs": 1,
    "queue_length": 3, "retry_queue_length": 0, "dlq_length": 1,
    "by_status": {
        "scheduled": 0, "queued": 3, "running": 1, "retrying": 0, "completed": 115, "cancelled": 0, "dead_letter": 1,
    },
    "queues": {"default": {"waiting": 3, "running": 1, "oldest_waiting_seconds": 0.4, "paused": False}},
}
KEY = OpenApiParameter(
    name=idempotency.HEADER,
    type={"type": "string", "pattern": '^("[A-Za-z0-9._:-]{1,255}"|[A-Za-z0-9._:-]{1,255})$'},
    location=OpenApiParameter.HEADER,
    description="Whoever repeats a request with its key gets the first one's result, for 24 hours.",
)
LOCATION = OpenApiParameter(
    name="Location", type=OpenApiTypes.URI, location=OpenApiParameter.HEADER, response=[201],
    description="The address of the job.",
)
LINK = OpenApiParameter(
    name="Link", type=OpenApiTypes.STR, location=OpenApiParameter.HEADER, response=[200],
    description='RFC 8288: `rel="first"`, and `rel="next"` when there is more.',
)
JOB_ID = OpenApiParameter(name="job_id", type=OpenApiTypes.UUID, location=OpenApiParameter.PATH)
QUEUE_NAME = OpenApiParameter(
    name="name", type={"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$"}, location=OpenApiParameter.PATH,
)

ARTIFACT_ID = OpenApiParameter(name="artifact_id", type=OpenApiTypes.UUID, location=OpenApiParameter.PATH)
ARTIFACT_LOCATION = OpenApiParameter(
    name="Location", type=OpenApiTypes.URI, location=OpenApiParameter.HEADER, response=[201],
    description="The address of the artifact.",
)
FILE_HEADERS = tuple(
    OpenApiParameter(name=name, type=OpenApiTypes.STR, location=OpenApiParameter.HEADER, response=[200], description=text)
    for name, text in {
        "Content-Disposition": "Always `attachment`, with the name of the file as in RFC 6266.",
        "ETag": "The SHA-256 of the bytes, in hexadecimal; with it in `If-None-Match`, the answer is 304.",
    }.items()
)


def page(item: dict[str, Any]) -> dict[str, Any]:
    """Return an example of a list."""
    return {"items": [item], "next": None}


def route(
    summary: str,
    *,
    operation: str,
    answers: dict[int, tuple[type, str, Any]],
    body: type | None = None,
    example: Any = None,
    query: type[Query] | None = None,
    parameters: tuple[OpenApiParameter, ...] = (),
    also: tuple[int, ...] = (),
) -> Callable[[ViewT], ViewT]:
    """Describe a view's method. `answers` are its successes: model, meaning and example for each status.

    The refusals that every route of its kind has are added by `core.api.schema`; `also` names others.
    """
    paged = query is not None and issubclass(query, PageQuery)
    found: Callable[[ViewT], ViewT] = extend_schema(
        operation_id=operation,
        summary=summary,
        request=body,
        parameters=[*parameters, *(openapi(query) if query else []), *([LINK] if paged else [])],
        extensions={"x-refusals": list(also)} if also else None,
        responses={
            status: OpenApiResponse(model, description=text) for status, (model, text, _) in answers.items()
        },
        examples=[
            *([OpenApiExample("request", value=example, request_only=True)] if example is not None else []),
            *(
                OpenApiExample("answer", value=value, response_only=True, status_codes=[str(status)])
                for status, (_, _, value) in answers.items()
            ),
        ],
    )
    return found


def action(summary: str, *, operation: str, status: str) -> Callable[[ViewT], ViewT]:
    """Describe what is done with one job; `status` is where it stands then."""
    return route(
        summary, operation=operation, body=Nothing, parameters=(JOB_ID,),
        answers={200: (JobAnswer, "The job now.", {**JOB, "status": status})},
    )


def switch(summary: str, *, operation: str, body: type, example: Any, paused: bool) -> Callable[[ViewT], ViewT]:
    """Describe how a queue is paused or resumed."""
    return route(
        summary, operation=operation, body=body, example=example, parameters=(QUEUE_NAME,),
        answers={200: (QueueAnswer, "The queue now.", {**QUEUE, "paused": paused})},
    )


def upload(view: ViewT) -> ViewT:
    """Describe how a file comes in."""
    part = {"type": "string", "format": "binary", "description": "The file, with a filename."}
    body = {"type": "object", "properties": {"file": part}, "required": ["file"], "additionalProperties": False}
    found: ViewT = extend_schema(
        operation_id="artifacts_create",
        summary="Keep a file",
        request={"multipart/form-data": body},
        parameters=[KEY, ARTIFACT_LOCATION],
        extensions={"x-refusals": [410]},
        responses={
            201: OpenApiResponse(ArtifactAnswer, description="The file is kept; `Location` is its address."),
            200: OpenApiResponse(ArtifactAnswer, description="It was kept before, under the same `Idempotency-Key`."),
        },
        examples=[
            OpenApiExample("request", value={"file": "a,b\n1,2\n"}, request_only=True, media_type="multipart/form-data"),
            OpenApiExample("answer", value={**ARTIFACT, "job_id": None}, response_only=True, status_codes=["200", "201"]),
        ],
    )(view)
    return found


def download(view: ViewT) -> ViewT:
    """Describe how a file goes out."""
    found: ViewT = extend_schema(
        operation_id="artifacts_read",
        summary="Download a file",
        parameters=[ARTIFACT_ID, *FILE_HEADERS],
        extensions={"x-refusals": [410]},
        responses={
            (200, "*/*"): OpenApiResponse(OpenApiTypes.BINARY, description="The bytes of the file."),
            304: OpenApiResponse(description="You have these bytes: `If-None-Match` names their `ETag`."),
        },
        examples=[OpenApiExample("answer", value="a,b\n1,2\n", response_only=True, status_codes=["200"], media_type="*/*")],
    )(view)
    return found
