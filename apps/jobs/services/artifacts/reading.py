"""Read artifacts. One whose time is over is unknown, whether it was pruned yet or not."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, cast

from django.core.files import File
from django.db.models.functions import Now

from apps.jobs.errors import UnknownArtifact, VanishedArtifact
from apps.jobs.models import Artifact
from apps.jobs.services.artifacts import files


@dataclass(frozen=True, slots=True)
class Opened:
    """An artifact and its open file, which belong together. Whoever asked closes the file."""

    artifact: Artifact
    file: "File[bytes]"


def get(artifact_id: uuid.UUID) -> Artifact:
    """Return an artifact, or raise `UnknownArtifact`."""
    found = Artifact.objects.filter(id=artifact_id, expires_at__gt=Now()).first()
    if found is None:
        raise UnknownArtifact(artifact_id)
    return found


def opened(artifact_id: uuid.UUID) -> Opened:
    """Return an artifact with its file open; raise `VanishedArtifact` for a row without its file."""
    artifact = get(artifact_id)
    while True:
        try:
            return Opened(artifact, files.read(artifact.file.name or ""))
        except FileNotFoundError as exc:
            now = get(artifact_id)
            if now.file.name == artifact.file.name:
                raise VanishedArtifact(artifact_id) from exc
            artifact = now   # it was replaced between our two looks


@contextmanager
def open(artifact_id: uuid.UUID) -> Iterator[BinaryIO]:  # noqa: A001  artifacts.open() reads well
    """Open an artifact for reading; raise `UnknownArtifact` when it or its file is gone."""
    with opened(artifact_id).file as file:
        yield cast("BinaryIO", file)
