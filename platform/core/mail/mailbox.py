"""One address with or without a name, as people write it: `ada@example.com` or `Ada Lovelace <ada@example.com>`."""

import re
import unicodedata
from dataclasses import dataclass
from email.header import Header
from email.utils import formataddr

from email_validator import SPECIAL_USE_DOMAIN_NAMES, EmailNotValidError, validate_email

LONGEST_NAME = 100
SHOWN = 60                          # of what is wrong, in a message
LONGEST = 254 + LONGEST_NAME + 10   # of an address by RFC 5321, with its name, brackets and quotes
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")   # all that some reader takes for the end of a line
ENCODED = re.compile(r"=\?[^?\s]{1,40}\?[bBqQ]\?[^?]{0,200}\?=")         # a word in the encoding of headers, which may hide one

for _inner in {"local", "localhost", "test"} & {*SPECIAL_USE_DOMAIN_NAMES}:
    SPECIAL_USE_DOMAIN_NAMES.remove(_inner)   # the library's way to allow what networks use inside


@dataclass(frozen=True, slots=True)
class Mailbox:
    """An address that a server can be told (ASCII, an international domain in its IDNA form), and a name for people."""

    address: str
    name: str = ""

    @property
    def domain(self) -> str:
        """Return what follows the @."""
        return self.address.rpartition("@")[2]

    def __str__(self) -> str:
        """Return it as it stands in a header, in ASCII."""
        if not self.name:
            return self.address
        if self.name.isascii():
            return formataddr((self.name, self.address))
        words = Header(self.name, "utf-8", maxlinelen=75).encode(linesep="")   # the most that RFC 2047 lets one have
        return f"{words} <{self.address}>"


def breaking(text: str) -> str | None:
    """Return what is wrong with a text that would end a header's line, or hide something in it; None if nothing is."""
    if found := CONTROL.search(text):
        return f"holds {found[0]!a}: must be one line without control characters"
    if found := ENCODED.search(text):
        word = ascii(found[0][:SHOWN]) + ("…" if len(found[0]) > SHOWN else "")
        return f"holds the encoded word {word}: write what it says, the mail encodes it by itself"
    return None


def parse(text: str) -> Mailbox:
    """Return the mailbox that a text names; raise `ValueError` with what is wrong with it.

    Whether the domain takes mail is asked of nobody: the server knows, and names without a dot are right inside.
    """
    if wrong := breaking(text):
        raise ValueError(wrong)
    if len(text) > LONGEST:
        raise ValueError(f"is longer than {LONGEST} characters")
    bare, _, rest = text.strip(" ").rpartition("<")
    name, quoted = bare.strip(" "), f"<{rest}"
    if name and not name.startswith('"') and not set(name) & set('<>@,;:"\\()[]'):
        # The library takes J. R. Hartley and Jürgen (no sign of RFC 5322's, in both) for it in quotes alone.
        text = f'"{name}" {quoted}'
    try:
        found_address = validate_email(
            text.strip(" "), allow_display_name=True, allow_smtputf8=False, strict=True, check_deliverability=False,
            globally_deliverable=False,
        )
    except EmailNotValidError as exc:
        raise ValueError(f"is no e-mail address: {_plain(str(exc))}") from exc
    shown = found_address.display_name or ""
    if len(shown) > LONGEST_NAME:
        raise ValueError(f"has a name of {len(shown)} characters: at most {LONGEST_NAME}")
    return Mailbox(found_address.ascii_email or found_address.normalized, shown)


def _plain(sentence: str) -> str:
    """Return the library's sentence without what it may quote of the input beyond letters that can be shown."""
    return "".join(each if unicodedata.category(each)[0] != "C" else "?" for each in sentence)[:300].rstrip(".")
