"""Whatever is accepted stays in its field: the mail has the headers that were asked for, and no other."""

import io
from email import message_from_bytes
from email.header import decode_header, make_header

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from apps.jobs.types.email_payload import Email
from core.mail.mailbox import Mailbox
from core.mail.message import Attachment, Letter, Message, UnsafeName

NASTY = st.text(st.one_of(
    st.characters(exclude_categories=["Cs"]), st.sampled_from('\r\n\t\x00\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029:;,<>"\\=?_ .'),
), max_size=120)   # fmt: skip
OURS = ["Content-Type", "MIME-Version", "Subject", "From", "To", "Date", "Message-ID"]


def written(**more):
    given_by_all = {"message_id": "<1@example.com>", "sender": Mailbox("shop@example.com"), "to": [Mailbox("ada@example.com")],
                    "subject": "x", "text": "body", "attachments": [Attachment.of("a", "text/plain", io.BytesIO(b"1"))]}
    return message_from_bytes(Message(Letter(**{**given_by_all, **more})).wire)


def read(value):
    return str(make_header(decode_header(value)))


def flat(text):
    """Leave blanks out: readers of folded headers disagree about them, and they break nothing."""
    return "".join(text.split())


@settings(suppress_health_check=[HealthCheck.filter_too_much], deadline=None)
@given(NASTY)
def test_a_subject_is_one_header_or_is_refused(subject):
    try:
        taken = Email(to=["ada@example.com"], subject=subject, text="x").subject
    except ValidationError:
        return
    message = written(subject=taken)

    assert OURS == message.keys()
    assert flat(taken) == flat(read(message["Subject"]))
    assert 2 == len(message.get_payload())


@settings(deadline=None)
@given(NASTY, NASTY)
def test_a_header_is_one_header_or_is_refused(name, value):
    for headers in ({"X-A": value}, {name: "x"}):
        try:
            taken = Email(to=["ada@example.com"], subject="x", text="x", headers=headers).headers
        except ValidationError:
            continue
        message = written(headers=taken)

        assert [*OURS[:-1], *taken, "Message-ID"] == message.keys()
        assert [flat(each) for each in taken.values()] == [flat(read(message[each])) for each in taken]


@settings(deadline=None)
@given(NASTY)
def test_a_name_of_a_file_is_one_parameter_or_is_refused(name):
    try:
        message = written(attachments=[Attachment.of(name, "text/plain", io.BytesIO(b"content"))])
    except UnsafeName:
        return
    part = message.get_payload()[1]

    assert ["Content-Type", "MIME-Version", "Content-Transfer-Encoding", "Content-Disposition"] == part.keys()
    assert b"content" == part.get_payload(decode=True)


@settings(deadline=None)
@given(NASTY)
def test_a_text_is_the_body_and_nothing_else(text):
    message = written(text=text or "x")

    assert OURS == message.keys()
    assert 2 == len(message.get_payload())


@given(st.binary(max_size=500), st.integers(1, 100))
def test_a_file_that_comes_in_short_pieces_arrives_whole(content, size):
    class Slow(io.BytesIO):
        def read(self, _=-1):
            return super().read(size)

    part = Attachment.of("a", "text/plain", Slow(content)).part()

    assert content == part.get_payload(decode=True)
    assert 76 >= max(len(line) for line in part.get_payload().split("\n"))
