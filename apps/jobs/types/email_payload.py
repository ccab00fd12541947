"""What an `email.send` is told. Everything that becomes a header is one line, and says what is wrong with it by name."""

import re
import uuid
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from apps.jobs.errors import refused
from core.mail import mailbox
from core.mail.mailbox import Mailbox

MOST_RECIPIENTS, MOST_HEADERS, MOST_ATTACHMENTS = 100, 30, 20
LONGEST_SUBJECT, LONGEST_NAME, LONGEST_VALUE = 250, 70, 900   # with its name and encoded, a header's line stays below 998
NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]*")
FIELDS = ("to", "cc", "bcc", "subject", "reply-to")   # have a member of their own
OURS = ("from", "sender", "date", "message-id", "mime-version", "return-path")
OURS_BEGIN = ("content-", "resent-")
# Written by servers on the way: whoever sends them speaks in another's name, or has the mail go elsewhere.
SERVERS = (
    "received", "received-spf", "delivered-to", "apparently-to", "envelope-to", "x-original-to", "dkim-signature",
    "domainkey-signature", "authentication-results", "errors-to",
)
SERVERS_BEGIN = ("arc-", "x-envelope-")


def _address(text: str) -> str:
    try:
        mailbox.parse(text)
    except ValueError as exc:
        raise refused(str(exc)) from exc
    return text


Address = Annotated[
    str, AfterValidator(_address), Field(examples=["ada@example.com", "Ada Lovelace <ada@example.com>"]),
]
Addresses = Annotated[list[Address], Field(max_length=MOST_RECIPIENTS)]


class _Given(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Remainder(_Given):
    """Those that the server of an earlier job did not take for the moment: they get that job's mail, nobody else again."""

    job: uuid.UUID = Field(description="whose mail it is; its Message-ID is used")
    recipients: list[Address] = Field(min_length=1, max_length=MOST_RECIPIENTS)


class Email(_Given):
    """One mail to everybody in `to`, `cc` and `bcc`, from the platform's own address (EMAIL_FROM)."""

    to: Addresses = []
    cc: Addresses = []
    bcc: Addresses = Field([], description="get the mail and stand in none of its headers")
    subject: str = Field(min_length=1, max_length=LONGEST_SUBJECT)
    text: str | None = None
    html: str | None = Field(None, description="with text, the two are alternatives of one mail")
    reply_to: Address | None = None
    headers: dict[str, str] = Field(default={}, max_length=MOST_HEADERS, description="further ones, such as In-Reply-To")
    attachments: list[uuid.UUID] = Field(default=[], max_length=MOST_ATTACHMENTS, description="ids of artifacts")
    remainder: Remainder | None = Field(None, description="set by the platform, when a server took a part of the recipients")

    @field_validator("subject")
    @classmethod
    def _is_one_line(cls, subject: str) -> str:
        if wrong := mailbox.breaking(subject):
            raise refused(wrong)
        if not subject.strip():
            raise refused("is blank")
        return subject

    @field_validator("headers")
    @classmethod
    def _may_be_sent(cls, headers: dict[str, str]) -> dict[str, str]:
        seen: set[str] = set()
        for name, value in headers.items():
            lowered = name.lower()
            if reason := _against_name(name, lowered) or _against_value(value):
                raise refused(f"{name[:100]!r} {reason}")
            if lowered in seen:
                raise refused(f"{name!r} is given twice, in another spelling")
            seen.add(lowered)
        return headers

    @model_validator(mode="after")
    def _is_a_mail(self) -> "Email":
        count = len(self.to) + len(self.cc) + len(self.bcc)
        if not count:
            raise refused("to, cc and bcc are empty: a mail goes to somebody", field="to")
        if count > MOST_RECIPIENTS:
            raise refused(f"to, cc and bcc name {count} recipients: at most {MOST_RECIPIENTS} get one mail", field="to")
        if not self.text and not self.html:
            raise refused("text and html are empty: a mail says something", field="text")
        if self.remainder:
            named = {mailbox.parse(each).address for each in (*self.to, *self.cc, *self.bcc)}
            if strange := [each for each in self.remainder.recipients if mailbox.parse(each).address not in named]:
                raise refused(f"remainder names {strange[0]!r}, who is not in to, cc or bcc", field=("remainder", "recipients"))
        return self

    @model_serializer(mode="wrap")
    def _as_given(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in handler(self).items() if name in self.model_fields_set}

    def mailboxes(self, name: str) -> list[Mailbox]:
        """Return the addresses of `to`, `cc` or `bcc`, as the mail needs them."""
        return [mailbox.parse(each) for each in getattr(self, name)]


def _against_name(name: str, lowered: str) -> str:
    if not NAME.fullmatch(name) or len(name) > LONGEST_NAME:
        return f"is no name of a header: use letters, digits and hyphens, at most {LONGEST_NAME}"
    if lowered in FIELDS:
        return f"has a member of its own: {lowered.replace('-', '_')}"
    if lowered in OURS or lowered.startswith(OURS_BEGIN):
        return "is set by the platform: leave it out"
    if lowered in SERVERS or lowered.startswith(SERVERS_BEGIN):
        return "is for mail servers alone: leave it out"
    return ""


def _against_value(value: str) -> str:
    if wrong := mailbox.breaking(value):
        return wrong
    if not value.strip():
        return "has no value"
    if len(value) > LONGEST_VALUE:
        return f"has a value of {len(value)} characters: at most {LONGEST_VALUE}"
    return ""
