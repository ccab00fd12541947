"""What the tests of artifacts look at from outside: the storage's folder, and files of several kinds."""

import io
import zipfile
from pathlib import Path
from typing import Any

from apps.jobs.models import artifact_storage


def stored() -> set[str]:
    """Return the paths of all files in the storage."""
    root = Path(artifact_storage().path(""))
    return {str(file.relative_to(root)) for file in root.rglob("*") if file.is_file()} if root.exists() else set()


def zipped(*names: str) -> bytes:
    """Return a ZIP with files of these names."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for name in names:
            archive.writestr(name, "content")
    return written.getvalue()


PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de"
    "0000000c49444154789c63f8cfc0000003010100c9fe92ef0000000049454e44ae426082",
)

BOUNDARY = "a-boundary-of-the-tests"


def part(content: bytes, *headers: str) -> bytes:
    """Return one part of a multipart body, with its headers as they are given."""
    return b"".join([f"--{BOUNDARY}\r\n".encode(), *(f"{each}\r\n".encode() for each in headers), b"\r\n", content, b"\r\n"])


def file_part(content: bytes, *, filename: str = "x.bin", field: str = "file", kind: str = "application/octet-stream") -> bytes:
    """Return a part as a browser sends a file."""
    return part(content, f'Content-Disposition: form-data; name="{field}"; filename="{filename}"', f"Content-Type: {kind}")


def multipart(*parts: bytes) -> bytes:
    """Return a whole multipart body."""
    return b"".join([*parts, f"--{BOUNDARY}--\r\n".encode()])


def upload(caller: Any, *parts: bytes, body: bytes | None = None, **headers: str) -> Any:
    """Send parts, or a body as it is, to the address that takes files."""
    sent = multipart(*parts) if body is None else body
    return caller.post("/api/v1/artifacts", sent, **{"Content_Type": f"multipart/form-data; boundary={BOUNDARY}", **headers})
