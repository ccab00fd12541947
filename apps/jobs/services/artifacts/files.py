"""The storage, as artifacts use it: paths that nobody can guess, and errors of one kind."""

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import BinaryIO

import structlog
from django.core.files import File
from django.db import Error as DatabaseError

from apps.jobs.errors import ArtifactsUnavailable, JobError
from apps.jobs.models import artifact_storage

FOLDER = re.compile(r"[0-9a-f]{2}", re.ASCII)
FORM = re.compile(r"[0-9a-f]{2}/[0-9a-f]{38}", re.ASCII)   # only files of this form are ever deleted
log = structlog.get_logger(__name__)


def new_path() -> str:
    """Return a path of 160 random bits, in one of 256 folders."""
    name = secrets.token_hex(20)
    return f"{name[:2]}/{name[2:]}"


def write(path: str, content: BinaryIO) -> None:
    """Store a stream under a new path."""
    with _translated("did not take a file", absence=False):
        stored = artifact_storage().save(path, File(content))
        if stored != path:   # 160 random bits that are taken: somebody copied files, and this one is not ours to name
            artifact_storage().delete(stored)
            msg = f"the storage kept {path} as {stored}"
            raise ArtifactsUnavailable(msg)


def read(path: str) -> "File[bytes]":
    """Open a file; raise `FileNotFoundError` when there is none. Whoever called closes it."""
    with _translated("did not give a file"):
        return artifact_storage().open(path, "rb")


def remove(path: str) -> None:
    """Delete a file, or find that it is gone."""
    with _translated("did not delete a file"):
        artifact_storage().delete(path)


def folders() -> list[str]:
    """Return the folders in which artifacts may be."""
    return [name for name in _listdir("")[0] if FOLDER.fullmatch(name)]


def listed(folder: str) -> list[str]:
    """Return the paths in a folder that are of our form; anything else there is somebody else's."""
    return [path for name in _listdir(folder)[1] if FORM.fullmatch(path := f"{folder}/{name}")]


def modified_at(path: str) -> datetime | None:
    """Return when a file was written, by the storage's clock; None when it is gone."""
    try:
        with _translated("did not tell of a file"):
            return artifact_storage().get_modified_time(path)
    except FileNotFoundError:
        return None


def _listdir(folder: str) -> tuple[list[str], list[str]]:
    try:
        with _translated("did not list its files"):
            return artifact_storage().listdir(folder)
    except FileNotFoundError:   # nothing was ever saved
        return [], []


@contextmanager
def _translated(what: str, *, absence: bool = True) -> Iterator[None]:
    """Turn what the storage raises into `ArtifactsUnavailable`, but for a file's absence, where that is an answer."""
    try:
        yield
    except (JobError, DatabaseError):
        raise
    except Exception as exc:   # each storage has errors of its own: OSError here, botocore's there
        if absence and isinstance(exc, FileNotFoundError):
            raise
        log.warning("artifacts.storage_failed", what=what, error=f"{type(exc).__name__}: {exc}")
        msg = f"the storage of artifacts {what} ({type(exc).__name__}: {exc}): try again in a moment"
        raise ArtifactsUnavailable(msg) from exc
