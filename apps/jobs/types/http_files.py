"""Artifacts as the body of a request, and as what is kept of its answer. Both are held in memory whole while they pass."""

from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from apps.jobs.conf import config
from apps.jobs.outcomes import JSON, Discard
from apps.jobs.registry import Context
from apps.jobs.services import artifacts
from apps.jobs.types import http_answer
from apps.jobs.types.http_payload import HttpRequest
from core.outgoing import Response

NAMELESS = "response"


@dataclass(frozen=True, slots=True)
class Body:
    """What is sent; of a file the content type is the one that its bytes were found to have."""

    content: bytes | None
    content_type: str | None


def body(payload: HttpRequest) -> Body:
    """Return what to send; raise `UnknownArtifact` or `ArtifactsUnavailable` for a file that cannot be had."""
    if payload.body_artifact is None:
        return Body(payload.body(), payload.content_type())
    found = artifacts.opened(payload.body_artifact)
    with found.file as file:
        return Body(file.read(), found.artifact.content_type)


def most_bytes(payload: HttpRequest) -> int:
    """Return how much of the answer to read: a file may be as large as an artifact, unless the payload wants less."""
    if not payload.save_response:
        return payload.max_response_bytes
    most = config().artifact_max_bytes
    return min(payload.max_response_bytes, most) if "max_response_bytes" in payload.model_fields_set else most


def kept(job: Context, payload: HttpRequest, *, response: Response) -> JSON | Discard:
    """Keep an answer's body as an artifact of the job, and return the result. Half a file is none."""
    if response.truncated:
        reason = f"the answer has more than {len(response.body)} bytes, the most that may be saved of it"
        return Discard(reason=f"/payload/{_bounding(payload)}: {reason}", error="ResponseTooLarge")
    saved = job.save_artifact(_name(response.url), response.body)
    return {**http_answer.head(response), "artifact": str(saved), "size": len(response.body)}


def _bounding(payload: HttpRequest) -> str:
    """Return what to change for a larger answer: the bound that was given, or that more than the settings allow is to be saved."""
    own = "max_response_bytes" in payload.model_fields_set and payload.max_response_bytes < config().artifact_max_bytes
    return "max_response_bytes" if own else "save_response"


def _name(url: str) -> str:
    return unquote(urlsplit(url).path).rpartition("/")[2] or NAMELESS
