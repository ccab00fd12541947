"""One file in a multipart body: streamed to a temporary file, within a limit, and refused unless it came whole.

Django's reader takes a body that ends early for a whole one, and knows no limit for files; both are added here. The limit
is the body's: whoever keeps the file counts its bytes.
"""

import hashlib
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import IO, Any, ClassVar

from django.core.exceptions import RequestDataTooBig, TooManyFieldsSent, TooManyFilesSent
from django.core.files.uploadedfile import UploadedFile
from django.core.files.uploadhandler import (
    FileUploadHandler,
    MemoryFileUploadHandler,
    TemporaryFileUploadHandler,
)
from django.http.multipartparser import MultiPartParser as DjangosParser
from django.http.multipartparser import MultiPartParserError
from django.http.request import UnreadablePostError
from django.utils.http import parse_header_parameters
from rest_framework.parsers import BaseParser, DataAndFiles
from rest_framework.request import Request

from core.api.problems import FieldError, Problem, invalid, pointer

FILE = "file"
FRAME = 64 * 1024   # what may stand around the file: boundaries and headers
MOST_HEAD = 8 * 1024   # of a part that is waited for; Django refuses less
NO_NAME = re.compile(rb';[ \t]*filename=[ \t]*(?:""|(?=;|$))', re.IGNORECASE)
HEAD_ENDS = b"\r\n\r\n"


class OneFileParser(BaseParser):
    """`multipart/form-data` with one file. A subclass says how large it may be."""

    media_type = "multipart/form-data"
    nameless: ClassVar[str] = "file"
    """What a file is called whose name is empty, a folder's or no UTF-8."""

    def most_bytes(self) -> int:
        """Return the most bytes that the file may have."""
        raise NotImplementedError

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        """Return the fields and the file, or raise the `Problem` that says what is wrong with the body."""
        most = self.most_bytes()
        request = (parser_context or {})["request"]
        meta = {**request.META, "CONTENT_TYPE": media_type or ""}
        length = int(meta.get("CONTENT_LENGTH") or 0)
        if length > most + FRAME:
            raise _too_large(most)
        handlers: list[FileUploadHandler] = [MemoryFileUploadHandler(request), TemporaryFileUploadHandler(request)]
        try:
            _, options = parse_header_parameters(media_type or "")
            delimiter = f"--{options.get('boundary', '')}".encode("ascii", "replace")
            body = _Watched(stream, delimiter=delimiter)
            named = _Named(body, delimiter=delimiter, nameless=self.nameless)
            parser = _Parser(meta, named, handlers, "utf-8")  # type: ignore[arg-type]  # reads, no more
            parser.nameless = self.nameless
            found = parser.parse()
        except (MultiPartParserError, TooManyFieldsSent, TooManyFilesSent, ValueError) as exc:
            _close(handlers)
            raise _malformed(str(exc)) from exc
        except RequestDataTooBig as exc:
            raise _too_large(most) from exc
        except UnreadablePostError as exc:
            _close(handlers)
            raise _malformed("it ended early, because the connection did") from exc
        if body.count < length:
            _close_all(found[1])
            raise _malformed(f"it ended after {body.count} of the {length} bytes that Content-Length announced")
        if not body.ended:
            _close_all(found[1])
            raise _malformed("its last boundary is missing: it was cut off on its way")
        fields, files = found
        read = sum(len(values) for each in (fields, files) for _, values in each.lists())
        if files and body.delimiters - 1 > read:   # Django passes by what has no name
            _close_all(files)
            raise invalid([FieldError(pointer=f"/{FILE}", detail="comes with parts without a name or filename: send it alone")])
        return DataAndFiles(fields, files)


def read_file(request: Request) -> UploadedFile:
    """Return the file of a request that holds one, and nothing else."""
    posted = request.data   # read first: it brings the files
    if not request.FILES and not request.POST and not posted:
        raise invalid([_missing()])
    errors = [
        FieldError(pointer=pointer([name]), detail=f"is not a member; known is {FILE}")
        for name in sorted({*request.FILES, *request.POST} - {FILE})
    ]
    files = request.FILES.getlist(FILE)
    if FILE in request.POST:
        errors.append(FieldError(pointer=f"/{FILE}", detail="is a field: send it as a file, with a filename"))
    elif not files:
        errors.append(_missing())
    elif len(files) > 1:
        errors.append(FieldError(pointer=f"/{FILE}", detail=f"stands {len(files)} times: send one file a request"))
    if errors:
        raise invalid(errors)
    file: UploadedFile = files[0]
    return file


def digest(file: UploadedFile) -> str:
    """Return the SHA-256 of a file, which is read and stands at its beginning again."""
    found = hashlib.file_digest(file, "sha256").hexdigest()
    file.seek(0)
    return found


class _Parser(DjangosParser):
    """Django's, but no name is so bad that its file is passed by."""

    nameless = ""

    def sanitize_file_name(self, file_name: str) -> str | None:
        """Return the last part of a name; a replacement character stands where somebody sent no UTF-8."""
        return (None if "\ufffd" in file_name else super().sanitize_file_name(file_name)) or self.nameless


class _Named:
    """A body whose files all have names that Django reads: it takes one without for a field, and passes by what is no UTF-8."""

    def __init__(self, body: "_Watched", *, delimiter: bytes, nameless: str) -> None:
        self._body, self._delimiter, self._nameless = body, delimiter, nameless.encode()
        self._held = b""
        self._in_head = False

    def read(self, size: int = -1) -> bytes:
        """Read on; the names may make it more than `size`."""
        while chunk := self._body.read(size):
            if passed := self._passed(chunk):
                return passed
        rest, self._held = self._held, b""
        return rest

    def _passed(self, chunk: bytes) -> bytes:
        data, passed = self._held + chunk, bytearray()
        while True:
            if self._in_head:
                end = data.find(HEAD_ENDS)
                if end < 0 and len(data) < MOST_HEAD:
                    break
                passed += self._named(data[:end]) if end >= 0 else b""
                data = data[max(end, 0):]
                self._in_head = False
            at = data.find(self._delimiter)
            if at < 0:
                safe = max(len(data) - len(self._delimiter) + 1, 0)   # behind it a delimiter may have begun
                passed += data[:safe]
                data = data[safe:]
                break
            behind = at + len(self._delimiter)
            passed += data[:behind]
            data, self._in_head = data[behind:], True
        self._held = data
        return bytes(passed)

    def _named(self, head: bytes) -> bytes:
        lines = head.split(b"\r\n")
        for number, line in enumerate(lines):
            if line.lower().startswith(b"content-disposition:"):
                readable = line.decode(errors="replace").encode()
                lines[number] = NO_NAME.sub(b'; filename="' + self._nameless + b'"', readable)
        return b"\r\n".join(lines)


class _Watched:
    """A body of which is known how much came, how many boundaries stand in it, and whether its last one does."""

    def __init__(self, stream: IO[bytes], *, delimiter: bytes) -> None:
        self._stream, self._delimiter = stream, delimiter
        self._tail = b"\r\n"   # before the first boundary there may be nothing
        self.count = 0
        self.delimiters = 0
        self.ended = False

    def read(self, size: int = -1) -> bytes:
        chunk = self._stream.read(size)
        self.count += len(chunk)
        seen = self._tail + chunk
        self.ended = self.ended or self._delimiter + b"--" in seen
        line = b"\r\n" + self._delimiter
        self.delimiters += seen.count(line)
        kept = len(line) - 1   # too short to be counted twice
        self._tail = seen[-kept:]
        return chunk


def _close(handlers: list[FileUploadHandler]) -> None:
    for handler in handlers:
        if file := getattr(handler, "file", None):
            file.close()


def _close_all(files: Any) -> None:
    for _, each in files.lists():
        for file in each:
            file.close()


def _missing() -> FieldError:
    return FieldError(pointer=f"/{FILE}", detail="is missing: send one part of that name, with a filename")


def _too_large(most: int) -> Problem:
    detail = f"the file is larger than {most} bytes, which is the limit here"
    return Problem(
        status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail=detail, errors=[FieldError(pointer=f"/{FILE}", detail=detail)],
    )


def _malformed(detail: str) -> Problem:
    said = f"the body is not whole multipart/form-data: {detail[:300]}"
    return Problem(status=HTTPStatus.BAD_REQUEST, kind="malformed-multipart", detail=said)
