"""What the tests of artifacts look at from outside: the storage's folder, and files of several kinds."""

import io
import zipfile
from pathlib import Path

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
