"""What an email.send refuses when the job is made: each time with the field and the reason."""

import pytest

from apps.jobs import registry
from apps.jobs.errors import InvalidJob
from apps.jobs.types.email_payload import Email
from core.ids import uuid7
from tests.support.caller import Caller

MAIL = {"to": ["ada@example.com"], "subject": "Hello", "text": "A line."}
SOMEBODY = ["a@example.com"]
BREAKS = ("\r\nBcc: x@example.com", "\nx", "\rx", "\x0bx", "\x0cx", "\x1ex", "\x85x", "\u2028x", "\u2029x", "\tx", "\x7fx", "\x1b[31m")
ID = str(uuid7())


def problems(**payload):
    """Return what is wrong, as pointer and detail."""
    with pytest.raises(InvalidJob) as invalid:
        registry.get("email.send").check({**MAIL, **payload})
    return [(problem.pointer, problem.detail) for problem in invalid.value.problems]


def accepted(**payload):
    given = {**MAIL, **payload}
    return registry.get("email.send").check({name: value for name, value in given.items() if value is not ...})


@pytest.mark.parametrize(("payload", "pointer", "reason"), [
    ({"to": []}, "/payload/to", "a mail goes to somebody"),
    ({"to": "ada@example.com"}, "/payload/to", "valid array"),
    ({"to": [7]}, "/payload/to/0", "valid string"),
    ({"to": [""]}, "/payload/to/0", "is no e-mail address"),
    ({"to": ["ada"]}, "/payload/to/0", "is no e-mail address: An email address must have an @-sign"),
    ({"to": ["ada@"]}, "/payload/to/0", "something after the @-sign"),
    ({"to": ["@example.com"]}, "/payload/to/0", "something before the @-sign"),
    ({"to": ["a@example.com", "a b@example.com"]}, "/payload/to/1", "is no e-mail address"),
    ({"to": ["a@exa mple.com"]}, "/payload/to/0", "is no e-mail address"),
    ({"to": ["a@example..com"]}, "/payload/to/0", "is no e-mail address"),
    ({"to": ["a@example.com, b@example.com"]}, "/payload/to/0", "is no e-mail address"),
    ({"to": ["A <a@example.com> B <b@example.com>"]}, "/payload/to/0", "is no e-mail address"),
    ({"to": ["a@example.com>, <b@example.com"]}, "/payload/to/0", "is no e-mail address"),
    ({"to": ['"a b"@example.com']}, "/payload/to/0", "Quoting"),
    ({"to": ["a@[127.0.0.1]"]}, "/payload/to/0", "bracketed IP address"),
    ({"to": ["ä@example.com"]}, "/payload/to/0", "Internationalized characters before the @-sign"),
    ({"to": ["a" * 65 + "@example.com"]}, "/payload/to/0", "too long"),
    ({"to": ["x" * 1000]}, "/payload/to/0", "is longer than"),
    ({"to": ["N" * 101 + " <a@example.com>"]}, "/payload/to/0", "has a name of 101 characters: at most 100"),
    ({"to": SOMEBODY * 101}, "/payload/to", "at most 100 items"),
    ({"cc": SOMEBODY * 60, "bcc": SOMEBODY * 60}, "/payload/to", "name 121 recipients: at most 100"),
    ({"reply_to": "nobody"}, "/payload/reply_to", "is no e-mail address"),
    ({"reply_to": ["a@example.com"]}, "/payload/reply_to", "valid string"),
    ({"subject": ""}, "/payload/subject", "at least 1 character"),
    ({"subject": "   "}, "/payload/subject", "is blank"),
    ({"subject": "x" * 251}, "/payload/subject", "at most 250 characters"),
    ({"text": None}, "/payload/text", "text and html are empty"),
    ({"text": ""}, "/payload/text", "text and html are empty"),
    ({"text": ["x"]}, "/payload/text", "valid string"),
    ({"text": "x" * 300_000}, "/payload", "at most 262144 are stored"),
    ({"text": "a\x00b"}, "/payload", "NUL"),
    ({"headers": {"X": 1}}, "/payload/headers/X", "valid string"),
    ({"headers": [["X", "1"]]}, "/payload/headers", "be an object"),
    ({"headers": {"": "x"}}, "/payload/headers", "'' is no name of a header"),
    ({"headers": {"X Y": "x"}}, "/payload/headers", "'X Y' is no name of a header"),
    ({"headers": {"X:Y": "x"}}, "/payload/headers", "is no name of a header"),
    ({"headers": {"Ü": "x"}}, "/payload/headers", "is no name of a header"),
    ({"headers": {"X" * 71: "x"}}, "/payload/headers", "is no name of a header"),
    ({"headers": {"X-A": "  "}}, "/payload/headers", "'X-A' has no value"),
    ({"headers": {"X-A": "x" * 901}}, "/payload/headers", "has a value of 901 characters: at most 900"),
    ({"headers": {"X-A": "1", "x-a": "2"}}, "/payload/headers", "'x-a' is given twice"),
    ({"headers": {f"X-{n}": "1" for n in range(31)}}, "/payload/headers", "at most 30 items"),
    ({"attachments": ["a.pdf"]}, "/payload/attachments/0", "valid UUID"),
    ({"attachments": ID}, "/payload/attachments", "valid array"),
    ({"attachments": [ID] * 21}, "/payload/attachments", "at most 20 items"),
    ({"from": "ceo@example.com"}, "/payload/from", "Extra inputs are not permitted"),
    ({"remainder": {"job": ID, "recipients": ["b@example.com"]}}, "/payload/remainder/recipients", "who is not in to, cc or bcc"),
    ({"remainder": {"job": ID, "recipients": []}}, "/payload/remainder/recipients", "at least 1 item"),
    ({"remainder": {"job": "<x>", "recipients": SOMEBODY}}, "/payload/remainder/job", "valid UUID"),
])
def test_a_mistake_is_refused_by_field_and_reason(payload, pointer, reason):
    found = problems(**payload)

    assert [pointer] == [each[0] for each in found]
    assert reason in found[0][1]


@pytest.mark.parametrize("name", [
    "Bcc", "bcc", "BCC", "To", "Cc", "Subject", "Reply-To", "From", "fRoM", "Sender", "Date", "Message-ID", "MESSAGE-ID",
    "MIME-Version", "Content-Type", "Content-Transfer-Encoding", "Return-Path", "Resent-To", "Resent-Bcc", "Received",
    "DKIM-Signature", "ARC-Seal", "Authentication-Results", "Delivered-To", "Apparently-To", "Errors-To",
])
def test_headers_that_are_not_the_authors_are_refused(name):
    ((pointer, detail),) = problems(headers={name: "x@example.com"})

    assert ("/payload/headers", True) == (pointer, detail.startswith(f"{name!r} "))


@pytest.mark.parametrize("broken", BREAKS)
@pytest.mark.parametrize(("pointer", "payload"), [
    ("/payload/to/0", lambda bad: {"to": [f"a@example.com{bad}"]}),
    ("/payload/to/0", lambda bad: {"to": [f"{bad}a@example.com"]}),
    ("/payload/to/0", lambda bad: {"to": [f"A{bad} <a@example.com>"]}),
    ("/payload/to/0", lambda bad: {"to": [f'"A{bad}" <a@example.com>']}),
    ("/payload/cc/0", lambda bad: {"cc": [f"a{bad}@example.com"]}),
    ("/payload/bcc/0", lambda bad: {"bcc": [f"a@example{bad}.com"]}),
    ("/payload/reply_to", lambda bad: {"reply_to": f"a@example.com{bad}"}),
    ("/payload/subject", lambda bad: {"subject": f"Hello{bad}"}),
    ("/payload/headers", lambda bad: {"headers": {"X-A": f"x{bad}"}}),
    ("/payload/headers", lambda bad: {"headers": {f"X-A{bad}": "x"}}),
    ("/payload/remainder/recipients/0", lambda bad: {"remainder": {"job": ID, "recipients": [f"ada@example.com{bad}"]}}),
])
def test_nothing_breaks_out_of_its_field(pointer, payload, broken):
    assert [pointer] == [each[0] for each in problems(**payload(broken))]


@pytest.mark.parametrize(("pointer", "payload"), [
    ("/payload/subject", {"subject": "=?utf-8?Q?Hello=0D=0ABcc:_x?="}),
    ("/payload/headers", {"headers": {"X-A": "=?utf-8?B?DQpCY2M6IHg=?="}}),
    ("/payload/to/0", {"to": ["=?utf-8?Q?=0D=0A?= <a@example.com>"]}),
])
def test_words_in_the_encoding_of_headers_hide_nothing_and_are_called_what_they_are(pointer, payload):
    ((found, detail),) = problems(**payload)

    assert (pointer, True, False) == (found, "holds the encoded word '=?utf-8?" in detail, "control characters" in detail)


def test_a_long_encoded_word_is_not_repeated_whole():
    ((_, detail),) = problems(subject=f"=?utf-8?B?{'QUJD' * 45}?=")

    assert ("'…: write what it says" in detail, len(detail) < 150) == (True, True)


@pytest.mark.parametrize(("payload", "shown"), [
    ({"subject": "a\r\nBcc: x"}, r"holds '\r'"), ({"headers": {"X-A": "a\u2028b"}}, r"'X-A' holds '\u2028'"),
])
def test_what_ends_a_line_is_named(payload, shown):
    ((_, detail),) = problems(**payload)

    assert f"{shown}: must be one line without control characters" == detail


@pytest.mark.parametrize("payload", [
    {"to": ["Ada <ada@example.com>", '"Lovelace, Ada" <ada@example.com>', "J. R. Hartley <j@example.com>", "Jürgen <j@example.com>",
            "<ada@example.com>", "ada+tag@sub.example.co.uk", "root@localhost", "ops@mailhost", "a@köln.example"]},
    {"to": [], "bcc": SOMEBODY},
    {"to": SOMEBODY * 100},
    {"text": ..., "html": "<p>x"},
    {"text": "\tindented\r\n\x0cnext page\n"},
    {"subject": "Grüße ✓ 👩‍👩‍👧 = ? =?"},
    {"headers": {"In-Reply-To": "<a@b>", "References": "<a@b> <c@d>", "List-Unsubscribe": "<mailto:x@example.com>",
                 "X-Mood": "naïve", "Auto-Submitted": "no"}},
    {"attachments": [ID]},
    {"remainder": {"job": ID, "recipients": ["Ada <ada@example.com>"]}},
])
def test_what_is_right_is_taken(payload):
    assert accepted(**payload)


def test_a_model_is_stored_as_it_was_given():
    model = Email(to=["Ada <ada@example.com>"], subject="x", text="y", attachments=[ID])

    expected = f'{{"to":["Ada <ada@example.com>"],"subject":"x","text":"y","attachments":["{ID}"]}}'
    assert expected == registry.get("email.send").check(model)


@pytest.mark.django_db
def test_over_http_each_mistake_is_named_by_its_place():
    body = {"type": "email.send", "payload": {
        "to": ["a@example.com", "nobody"], "subject": "x\r\nBcc: y@example.com", "text": "z", "headers": {"From": "ceo@example.com"},
    }}
    answer = Caller.of("operator").post("/api/v1/jobs", body)

    assert 422 == answer.status_code
    assert {"/payload/to/1", "/payload/subject", "/payload/headers"} == {each["pointer"] for each in answer.json()["errors"]}
