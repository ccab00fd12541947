"""Where the bytes of a picture come from: a stored file, or somebody's server, which is not trusted."""

import uuid

from apps.jobs.errors import UnknownArtifact
from apps.jobs.outcomes import Discard, Retry
from apps.jobs.services import artifacts
from apps.jobs.types import http_answer
from apps.jobs.types.http import STATUS, retry_after
from apps.jobs.types.image.errors import InvalidImage
from apps.jobs.types.image.payload import SourceOf
from core import clock, outgoing

MOST_BYTES = 32 * 1024 * 1024
SECONDS = 60.0
ACCEPT = "image/png, image/jpeg, image/webp, image/gif"
PASSING = (408, 425, 429, 500, 502, 503, 504)   # statuses that another attempt may not meet


def fetch(source: SourceOf) -> bytes | Retry | Discard:
    """Return the file, or what becomes of the job without it. What the file is, only its bytes can tell."""
    if source.artifact is not None:
        return _stored(source.artifact)
    return _downloaded(source.url or "")


def _stored(artifact_id: uuid.UUID) -> bytes:
    try:
        with artifacts.open(artifact_id) as file:
            data = file.read(MOST_BYTES + 1)
    except UnknownArtifact as exc:
        raise InvalidImage(str(exc), pointer="/payload/source/artifact") from exc
    return _within(data, "/payload/source/artifact")


def _downloaded(url: str) -> bytes | Retry | Discard:
    pointer = "/payload/source/url"
    try:
        response = outgoing.request(
            "GET", url, headers={"Accept": ACCEPT}, timeout_seconds=SECONDS, allow_redirects=True, max_bytes=MOST_BYTES + 1,
        )
    except (outgoing.Unreachable, outgoing.TimedOut) as exc:
        return Retry(reason=f"{pointer}: {exc}", error=type(exc).__name__)
    except outgoing.OutgoingError as exc:
        return Discard(reason=f"{pointer}: {exc}", error=type(exc).__name__)
    if response.status in PASSING:
        wait = retry_after(response.headers.get("retry-after", ""), now=clock.now())
        return Retry(after=wait, reason=f"{pointer}: {http_answer.complaint(response)}", error=STATUS)
    if not 200 <= response.status <= 299:
        return Discard(reason=f"{pointer}: {http_answer.complaint(response)}", error=STATUS)
    return _within(response.body, pointer)


def _within(data: bytes, pointer: str) -> bytes:
    if len(data) > MOST_BYTES:
        raise InvalidImage(f"has more than {MOST_BYTES} bytes, which is the most that is read", pointer=pointer)
    return data
