"""Objects that compare tokens: in S3 by the store's own preconditions, in a folder under a lock of the file system."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.files.storage import FileSystemStorage, Storage

from core.errors import PlatformError
from core.fencing.errors import StaleToken

PRECONDITION = {"PreconditionFailed", "ConditionalRequestConflict", "412", "409"}
ABSENT = {"404", "NoSuchKey", "NotFound"}
TRIES = 20    # each further one means that somebody else has written the object meanwhile


class NoPrecondition(PlatformError):
    """A storage that cannot compare: what is written there cannot be fenced."""

    def __init__(self, storage: object) -> None:
        super().__init__(f"{type(storage).__name__} knows no precondition: use S3 or a folder, or keep the token elsewhere")


class Contended(PlatformError):
    """Others wrote the object again and again meanwhile; nothing was written."""

    def __init__(self, name: str) -> None:
        super().__init__(f"object {name} was changed by others {TRIES} times while it was to be written")


def fenced_put(storage: Storage, name: str, content: bytes, *, token: int) -> None:
    """Write an object under the token, or raise StaleToken. After a lost answer, put the same again."""
    if isinstance(storage, FileSystemStorage):
        _into_folder(Path(storage.path(name)), name, content, token)
    elif hasattr(storage, "bucket_name") and hasattr(storage, "connection"):
        _into_bucket(storage, name, content, token)
    else:
        raise NoPrecondition(storage)


def _into_bucket(storage: Any, name: str, content: bytes, token: int) -> None:
    """Read the object's token and version, then write if it has still that version; else read again."""
    from botocore.exceptions import ClientError  # noqa: PLC0415  it is there wherever the storage is

    client = storage.connection.meta.client
    where = {"Bucket": storage.bucket_name, "Key": storage._normalize_name(name)}   # noqa: SLF001  as the storage itself names it
    for _ in range(TRIES):
        condition: dict[str, str]
        try:
            head = client.head_object(**where)
        except ClientError as exc:
            if exc.response["Error"]["Code"] not in ABSENT:
                raise
            condition = {"IfNoneMatch": "*"}
        else:
            seen = int(head["Metadata"].get("fence", "0"))
            if seen > token:
                raise StaleToken(f"object {name}", token=token, seen=seen)
            condition = {"IfMatch": head["ETag"]}
        try:
            client.put_object(**where, **condition, Body=content, Metadata={"fence": str(token)})
        except ClientError as exc:
            if exc.response["Error"]["Code"] not in PRECONDITION | ABSENT:    # absent: deleted between the two
                raise
        else:
            return
    raise Contended(name)


def _into_folder(path: Path, name: str, content: bytes, token: int) -> None:
    """Compare with the token in a file beside it, under a lock of that file, then put the new content in its place at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with _locked(path.with_name(f".{path.name}.fence")) as file:
        seen = int(os.read(file, 32) or b"0")
        if seen > token:
            raise StaleToken(f"object {name}", token=token, seen=seen)
        # the token first: a crash between the two leaves the old content under the new fence, never the other way round
        os.pwrite(file, b"%020d" % token, 0)
        os.fsync(file)
        fresh = path.with_name(f".{path.name}.new")
        fresh.write_bytes(content)
        fresh.replace(path)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[int]:
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o640)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file
    finally:
        os.close(file)
