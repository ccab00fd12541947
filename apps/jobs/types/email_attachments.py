"""Artifacts as a mail's attachments: looked up and added up before a byte of them is read."""

import uuid
from collections.abc import Sequence

from apps.jobs.errors import JobError, UnknownArtifact
from apps.jobs.services import artifacts
from core.mail.mailbox import breaking
from core.mail.message import Attachment


class Unusable(JobError):
    """The mail cannot be made of what the payload names; another attempt would change nothing."""


class AttachmentMissing(Unusable):
    def __init__(self, number: int, why: str) -> None:
        super().__init__(f"/payload/attachments/{number}: {why}")


class UnsafeName(Unusable):
    def __init__(self, number: int, wrong: str) -> None:
        super().__init__(f"/payload/attachments/{number}: the artifact's name {wrong}")


class TooLarge(Unusable):
    def __init__(self, size: int, *, most: int, member: str = "attachments") -> None:
        self.size, self.most = size, most
        hint = "files grow by a third on the way; send a link, or raise EMAIL_MAX_BYTES if the server takes more"
        super().__init__(f"/payload/{member}: the mail would have {size} bytes: at most {most} are sent ({hint})")


def read(ids: Sequence[uuid.UUID], *, most: int) -> list[Attachment]:
    """Return the artifacts of these ids; raise `Unusable` for one that is not there, and for more than a mail may have.

    A storage that does not answer raises its own error (`ArtifactsUnavailable`), which is tried again.
    """
    size = 0
    for number, artifact_id in enumerate(ids):
        try:
            artifact = artifacts.get(artifact_id)
        except UnknownArtifact as exc:
            raise AttachmentMissing(number, str(exc)) from exc
        if wrong := breaking(artifact.name):
            raise UnsafeName(number, wrong)
        size += encoded(artifact.size)
    if size > most:
        raise TooLarge(size, most=most)
    return [_content(number, artifact_id) for number, artifact_id in enumerate(ids)]


def encoded(size: int) -> int:
    """Return the bytes that so many of a file take in base64, with its line ends."""
    return (size + 2) // 3 * 4 + (size // 57 + 1) * 2


def _content(number: int, artifact_id: uuid.UUID) -> Attachment:
    try:
        opened = artifacts.opened(artifact_id)   # again with its row: it may have been replaced since
    except UnknownArtifact as exc:
        raise AttachmentMissing(number, str(exc)) from exc
    with opened.file as file:
        return Attachment.of(opened.artifact.name, opened.artifact.content_type, file)
