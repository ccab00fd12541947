"""A stream that is counted, hashed and looked at while somebody else reads it: no file is read twice, none is held whole."""

import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from apps.jobs.errors import ArtifactTooLarge, InvalidArtifact
from apps.jobs.services.artifacts import media

Content = BinaryIO | bytes | Path


class Measured(io.RawIOBase):
    """Reads on from another stream up to a limit; what it knows is complete once it was read to its end."""

    def __init__(self, source: BinaryIO, *, most: int) -> None:
        super().__init__()
        self._source, self._most = source, most
        self._head = bytearray()
        self._hash = hashlib.sha256()
        self.size = 0
        self.failure: Exception | None = None
        """What the other stream raised: its own error, and not that of whoever reads here."""

    def readable(self) -> bool:
        """Say that it can be read; what it is not asked for here (to seek) it cannot do."""
        return True

    def readinto(self, buffer: "memoryview[int]") -> int:  # type: ignore[override]  # any buffer comes as a memoryview
        """Read on; raise `ArtifactTooLarge` at the first byte too many."""
        try:
            chunk = self._source.read(len(buffer))
        except Exception as exc:
            self.failure = exc
            raise
        if not isinstance(chunk, bytes):
            raise InvalidArtifact("/file", "is read as text: open it in binary mode")
        self.size += len(chunk)
        if self.size > self._most:
            raise ArtifactTooLarge(most=self._most)
        self._hash.update(chunk)
        if len(self._head) < media.HEAD:
            self._head += chunk[: media.HEAD - len(self._head)]
        buffer[: len(chunk)] = chunk
        return len(chunk)

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    @property
    def content_type(self) -> str:
        return media.sniff(bytes(self._head))


@contextmanager
def source(content: Content) -> Iterator[BinaryIO]:
    """Open what is to be saved; a stream that is open already is read from where it stands and stays open."""
    if isinstance(content, bytes):
        yield io.BytesIO(content)
    elif isinstance(content, Path):
        with content.open("rb") as opened:
            yield opened
    elif hasattr(content, "read"):
        yield content
    else:
        raise InvalidArtifact("/file", f"is {type(content).__name__}: give bytes, a Path or a binary stream")
