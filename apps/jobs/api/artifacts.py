"""/artifacts: files in and out. What goes out is only ever saved by a browser, never shown."""

import unicodedata
import uuid
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from django.core.files.uploadedfile import UploadedFile
from django.http import FileResponse, HttpResponse
from django.urls import reverse
from django.utils.http import parse_etags
from rest_framework.request import Request
from rest_framework.response import Response

from apps.jobs import selectors
from apps.jobs.api import answers
from apps.jobs.api import described as say
from apps.jobs.api.base import JobsView, refuse_parameters
from apps.jobs.conf import config
from apps.jobs.errors import UnknownArtifact
from apps.jobs.models import Artifact
from apps.jobs.services import artifacts
from apps.jobs.services.artifacts import naming
from core.api import idempotency, pagination, parameters, uploads
from core.api.permissions import IsOperator, IsViewer
from core.api.problems import Problem

HARMLESS = ("image/", "audio/", "video/", "font/")
ALSO_HARMLESS = ("text/plain", "application/pdf", "application/zip", "application/gzip")
ACTIVE = ("image/svg+xml",)   # documents that run scripts go out as bytes, whatever they say of themselves
OFFICE = "application/vnd.openxmlformats-officedocument."
POLICY = "default-src 'none'; sandbox"


class ArtifactParser(uploads.OneFileParser):
    """A file of the size that an artifact may have."""

    nameless = naming.NAMELESS

    def most_bytes(self) -> int:
        return config().artifact_max_bytes


class Artifacts(JobsView):
    permission_classes = (IsOperator,)
    parser_classes = (ArtifactParser,)

    @say.upload
    def post(self, request: Request) -> Response:
        refuse_parameters(request)
        file = uploads.read_file(request)
        key = idempotency.read_key(
            request, route="POST /api/v1/artifacts", body=lambda: {"name": file.name, "sha256": uploads.digest(file)},
        )
        done = idempotency.perform(key, lambda: {"id": str(_saved(file).id)})
        saved = _kept(uuid.UUID(done.result["id"]))
        if done.replayed:
            return Response(answers.artifact(saved))
        address = request.build_absolute_uri(reverse("artifact", args=[saved.id]))
        return Response(answers.artifact(saved), status=HTTPStatus.CREATED, headers={"Location": address})


class OneArtifact(JobsView):
    permission_classes = (IsViewer,)

    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:  # noqa: ARG002, FBT001, FBT002  as in REST framework
        """Take any Accept: what is answered is the file, of whatever type."""
        return super().perform_content_negotiation(request, force=True)

    @say.download
    def get(self, request: Request, artifact_id: uuid.UUID) -> HttpResponse | FileResponse:
        refuse_parameters(request)
        tag = f'"{artifacts.get(artifact_id).sha256}"'
        if is_known(request.headers.get("If-None-Match", ""), tag=tag):
            return HttpResponse(status=HTTPStatus.NOT_MODIFIED, headers={"ETag": tag})
        found = artifacts.opened(artifact_id)
        artifact = found.artifact
        headers = {
            "Content-Length": str(artifact.size),
            "Content-Disposition": disposition(artifact.name),
            "ETag": f'"{artifact.sha256}"',
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": POLICY,
        }
        kind = media_type(artifact.content_type)
        if request.method == "HEAD":
            found.file.close()
            return HttpResponse(content_type=kind, headers=headers)
        response = FileResponse(found.file, content_type=kind)
        for name, value in headers.items():   # after the response has had its own idea of them
            response[name] = value
        return response


class OfJob(JobsView):
    permission_classes = (IsViewer,)

    @say.route(
        "List a job's artifacts, oldest first", operation="jobs_artifacts", parameters=(say.JOB_ID,),
        query=pagination.PageQuery,
        answers={200: (answers.ArtifactPage, "A page of artifacts.", say.page(say.ARTIFACT))},
    )
    def get(self, request: Request, job_id: uuid.UUID) -> Response:
        query = parameters.read_query(pagination.PageQuery, request)
        page = pagination.of_rows(selectors.artifacts_of(job_id), query=query, order=("id",))
        return pagination.answer(page, request=request, items=[answers.artifact(row) for row in page.items])


def _saved(file: UploadedFile) -> Artifact:
    return artifacts.save(file.name or "", file)  # type: ignore[arg-type]  # Django's files read as others do


def _kept(artifact_id: uuid.UUID) -> Artifact:
    """Return the artifact, or say that its time is over: a key may outlive what it made."""
    try:
        return artifacts.get(artifact_id)
    except UnknownArtifact as exc:
        raise Problem(
            status=HTTPStatus.GONE, kind="artifact-deleted",
            detail="what was kept under this Idempotency-Key is deleted: a new request needs a new key",
        ) from exc


def disposition(name: str) -> str:
    """Return the header that has a browser save the file under its name: RFC 6266, with a plain name for old readers."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    plain = "".join("_" if letter in '"\\%' or not letter.isprintable() else letter for letter in plain).strip(". ")
    return f"attachment; filename=\"{plain or 'artifact'}\"; filename*=UTF-8''{quote(name, safe='')}"


def is_known(header: str, *, tag: str) -> bool:
    """Whether an If-None-Match names this tag, in its weak form too (RFC 9110, 13.1.2)."""
    return header.strip() == "*" or tag in {each.removeprefix("W/") for each in parse_etags(header)}


def media_type(content_type: str) -> str:
    """Return as what a file is sent: its own type when nothing in it can run, else bytes."""
    if content_type in ACTIVE or not content_type.startswith((*HARMLESS, *ALSO_HARMLESS, OFFICE)):
        return "application/octet-stream"
    return f"{content_type}; charset=utf-8" if content_type == "text/plain" else content_type
