"""A mail as it goes over the wire: fields that cannot break out of their lines, and files that arrive byte for byte."""

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from email.mime.base import MIMEBase
from functools import cached_property
from pathlib import PurePosixPath
from typing import IO, Self

from django.core.mail import EmailMultiAlternatives

from core.mail.mailbox import Mailbox, breaking

CONTENT_TYPE = re.compile(r"([a-z0-9][a-z0-9!#$&^_.+-]{0,63})/([a-z0-9][a-z0-9!#$&^_.+-]{0,126})")
NESTED = ("message", "multipart")   # may not be in base64 (RFC 2046), and a reader would open them as part of the mail
ANY = ("application", "octet-stream")
PIECE, LINE = 256 * 1024, 57   # bytes that are read at once, and that a line of base64 holds
LONGEST_NAME = 240   # bytes in UTF-8: encoded, and with all that goes around it, a line stays below 998


class UnsafeName(ValueError):
    """The name of an attachment would break out of its field."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file to go along. It is always in base64: a text's line ends would not arrive as they are."""

    name: str
    content_type: str
    encoded: str = field(repr=False)

    @classmethod
    def of(cls, name: str, content_type: str, file: IO[bytes]) -> Self:
        """Read a file to its end, piece by piece, because it is never needed as it is."""
        return cls(name, content_type, "".join(_encoded(file)))

    def part(self) -> MIMEBase:
        """Return it as a part of a mail; raise `UnsafeName` for a name that is more than a name."""
        if wrong := breaking(self.name):
            raise UnsafeName(f"the name of the attachment {ascii(self.name)[1:-1][:200]} {wrong}")
        known = CONTENT_TYPE.fullmatch(self.content_type.partition(";")[0].strip().lower())
        main, sub = ANY if known is None or known[1] in NESTED else (known[1], known[2])
        part = MIMEBase(main, sub)
        part.set_payload(self.encoded)
        part["Content-Transfer-Encoding"] = "base64"
        name = _shortened(self.name)
        part.add_header("Content-Disposition", "attachment", filename=name if name.isascii() else ("utf-8", "", name))
        return part


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """What a mail consists of. `only` are the addresses that it is handed over for, out of all that it names."""

    message_id: str
    sender: Mailbox
    to: Sequence[Mailbox] = ()
    cc: Sequence[Mailbox] = ()
    bcc: Sequence[Mailbox] = ()
    reply_to: Mailbox | None = None
    subject: str = ""
    text: str | None = None
    html: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    attachments: Sequence[Attachment] = ()
    only: Sequence[str] = ()

    @property
    def recipients(self) -> list[str]:
        """Return the addresses of the envelope, each once, in their order."""
        everybody = dict.fromkeys(each.address for each in (*self.to, *self.cc, *self.bcc))
        return [address for address in everybody if not self.only or address in self.only]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A recipient that the server did not take, with its code and words."""

    address: str
    code: int
    words: str

    @property
    def is_temporary(self) -> bool:
        """Tell whether the server may take it another time."""
        return not 500 <= self.code <= 599


class Message(EmailMultiAlternatives):
    """Django's mail with an envelope of its own. A backend that knows better fills in `refused`; others leave it empty.

    `seconds` is what its sender has left for it, None where there is no hurry.
    """

    encoding = "utf-8"
    seconds: float | None = None

    def __init__(self, letter: Letter) -> None:
        self.letter = letter
        self.refused: list[Refusal] = []
        html_alone = letter.text is None and letter.html is not None
        super().__init__(
            subject=letter.subject, body=(letter.html if html_alone else letter.text) or "", from_email=str(letter.sender),
            to=[str(each) for each in letter.to], cc=[str(each) for each in letter.cc],
            reply_to=[str(letter.reply_to)] if letter.reply_to else None,
            headers={**letter.headers, "Message-ID": letter.message_id},
            attachments=[each.part() for each in letter.attachments],
        )
        if html_alone:
            self.content_subtype = "html"
        elif letter.html is not None:
            self.attach_alternative(letter.html, "text/html")

    def recipients(self) -> list[str]:
        """Return the bare addresses of the envelope; those of `bcc` stand nowhere else."""
        return self.letter.recipients

    @cached_property
    def wire(self) -> bytes:
        """Return the bytes that are sent: made once, because each making has other boundaries and costs the files' size."""
        made: bytes = self.message().as_bytes(linesep="\r\n")
        return made


def _encoded(file: IO[bytes]) -> Iterator[str]:
    rest = b""
    while piece := file.read(PIECE):   # which may be shorter than asked for: only whole lines go on
        rest += piece
        whole = len(rest) - len(rest) % LINE
        yield base64.encodebytes(rest[:whole]).decode("ascii")
        rest = rest[whole:]
    yield base64.encodebytes(rest).decode("ascii")


def _shortened(name: str) -> str:
    """Return the last part of a path, cut where it is too long, with its suffix."""
    name = re.split(r"[/\\]", name)[-1] or "file"
    if len(name.encode()) <= LONGEST_NAME:
        return name
    suffix = PurePosixPath(name).suffix
    suffix = suffix if len(suffix.encode()) <= 20 else ""
    stem = name.removesuffix(suffix).encode()[: LONGEST_NAME - len(suffix.encode())]
    return stem.decode(errors="ignore") + suffix
