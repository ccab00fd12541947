"""The mails that the local mail server has taken: a file each, as it came, in one folder that does not grow for ever."""

import contextlib
import json
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes
from email.errors import HeaderParseError, MessageError
from email.header import decode_header, make_header
from email.message import Message
from email.parser import BytesHeaderParser
from functools import cached_property
from pathlib import Path

from core import clock
from core.ids import uuid7

FOLDER = "mails"
MOST, MOST_BYTES = 200, 200 * 1024 * 1024
HEAD = 64 * 1024         # as much as a list reads of each
LONGEST_TEXT = 300_000   # as much as a page shows
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """What the server was told besides the mail: whom it is for stands here alone when it is a blind copy."""

    sender: str
    recipients: list[str]
    at: datetime


@dataclass(frozen=True, slots=True)
class Line:
    """One mail in the list."""

    id: uuid.UUID
    subject: str
    sender: str
    recipients: list[str]
    at: datetime
    size: int


@dataclass(frozen=True, slots=True)
class Part:
    """A file that came along; `content` is as it was sent."""

    number: int
    name: str
    content_type: str
    content: bytes


@dataclass(frozen=True)
class Mail:
    """One mail, read."""

    id: uuid.UUID
    envelope: Envelope
    source: bytes

    @cached_property
    def _message(self) -> Message:
        return message_from_bytes(self.source)

    @property
    def subject(self) -> str:
        return decoded(self._message.get("Subject", ""))

    @property
    def headers(self) -> list[tuple[str, str]]:
        """Return all headers in their order, decoded."""
        return [(name, decoded(value)) for name, value in self._message.items()]

    @cached_property
    def text(self) -> str | None:
        """Return what is to be read as text."""
        return next((_text(part) for part in self._leaves() if _is_body(part, "text/plain")), None)

    @cached_property
    def html(self) -> str | None:
        """Return what is to be seen as a page; it comes from outside and may hold anything."""
        return next((_text(part) for part in self._leaves() if _is_body(part, "text/html")), None)

    @cached_property
    def attachments(self) -> list[Part]:
        """Return everything else."""
        others = [part for part in self._leaves() if not (_is_body(part, "text/plain") or _is_body(part, "text/html"))]
        return [
            Part(number, _name(part, number), part.get_content_type(), _content(part)) for number, part in enumerate(others)
        ]

    def _leaves(self) -> Iterator[Message]:
        return (part for part in self._message.walk() if not part.is_multipart())


class Mails:
    """The folder. One process writes; any may read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def keep(self, content: bytes, *, sender: str, recipients: list[str]) -> uuid.UUID:
        """Store a mail and let the oldest go where there are too many."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = uuid7()
        facts = {"sender": sender, "recipients": recipients, "at": clock.now().isoformat()}
        self._path(name, "json").write_text(json.dumps(facts), encoding="utf-8")
        part = self._path(name, "part")
        part.write_bytes(content)
        part.replace(self._path(name, "eml"))   # last: what the list finds is whole
        self._let_go()
        return name

    def newest(self) -> list[Line]:
        """Return what the list shows."""
        found = []
        for path in sorted(self.folder.glob("*.eml"), reverse=True):
            with contextlib.suppress(FileNotFoundError):   # let go while we looked
                found.append(self._line(path))
        return found

    def get(self, name: uuid.UUID) -> Mail | None:
        """Return a mail, or None when there is none of that name (any more)."""
        try:
            return Mail(name, self._envelope(name), self._path(name, "eml").read_bytes())
        except FileNotFoundError:
            return None

    def _line(self, path: Path) -> Line:
        name = uuid.UUID(path.stem)
        with path.open("rb") as file:
            head, size = file.read(HEAD), path.stat().st_size
        headers, envelope = BytesHeaderParser().parsebytes(head), self._envelope(name)
        return Line(name, decoded(headers.get("Subject", "")), decoded(headers.get("From", "")), envelope.recipients, envelope.at, size)

    def _envelope(self, name: uuid.UUID) -> Envelope:
        facts = json.loads(self._path(name, "json").read_text(encoding="utf-8"))
        return Envelope(sender=facts["sender"], recipients=facts["recipients"], at=datetime.fromisoformat(facts["at"]).astimezone(UTC))

    def _let_go(self) -> None:
        room = MOST_BYTES
        for kept, path in enumerate(sorted(self.folder.glob("*.eml"), reverse=True), start=1):
            room -= path.stat().st_size
            if kept > 1 and (kept > MOST or room < 0):
                for file in (path, path.with_suffix(".json")):
                    with contextlib.suppress(FileNotFoundError):
                        file.unlink()

    def _path(self, name: uuid.UUID, suffix: str) -> Path:
        return self.folder / f"{name}.{suffix}"


def decoded(value: object) -> str:
    """Return a header's value as it is meant to be read, on one line; as it came where it cannot be decoded."""
    text = str(value)
    with contextlib.suppress(HeaderParseError, LookupError, ValueError):
        text = str(make_header(decode_header(text)))
    return CONTROL.sub("\N{REPLACEMENT CHARACTER}", re.sub(r"\s*[\r\n]+\s*", " ", text))


def _is_body(part: Message, content_type: str) -> bool:
    return part.get_content_type() == content_type and part.get_content_disposition() != "attachment"


def _content(part: Message) -> bytes:
    content = part.get_payload(decode=True)
    return content if isinstance(content, bytes) else b""


def _text(part: Message) -> str:
    try:
        text = _content(part).decode(part.get_content_charset() or "utf-8", errors="replace")
    except LookupError:
        text = _content(part).decode(errors="replace")
    return text[:LONGEST_TEXT]


def _name(part: Message, number: int) -> str:
    try:
        given = part.get_filename()
    except (MessageError, LookupError, ValueError):
        given = None
    name = re.split(r"[/\\]", decoded(given or ""))[-1].strip()
    return name or f"part-{number}"
