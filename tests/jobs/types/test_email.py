"""email.send against a real SMTP server: what arrives, and what becomes of what the server will not have."""

import hashlib
import os
import re
from datetime import timedelta
from email import message_from_bytes
from email.header import decode_header, make_header
from email.utils import getaddresses

import pytest

from apps.jobs import Discard, Retry, registry, testing
from apps.jobs import services as jobs
from apps.jobs.models import Artifact, Job
from apps.jobs.services import artifacts
from core.ids import uuid7
from core.mail import backend
from tests.support import mail_server as servers
from tests.support.mail_server import BareServer, mail_server, sends_to

__all__ = ["mail_server"]
pytestmark = pytest.mark.django_db
MAIL = {"to": ["ada@example.com"], "subject": "Hello", "text": "A line.\n"}
EVERY_BYTE = bytes(range(256)) * 40 + b"\r\n.\r\nFrom here\n\r\r\n"


def run(**payload):
    return testing.run_handler("email.send", {**MAIL, **payload})


def outcome(**payload):
    return run(**payload).outcome


# What arrives.


def test_a_mail_arrives_with_what_was_said(mail_server):
    handled = run(
        to=["Ada Lovelace <ada@example.com>"], cc=["Jürgen Größe <j@example.org>"], reply_to="desk@example.com",
        subject="Grüße aus Köln ✓", text="Zeile 1\nZeile 2 äöü\n", headers={"X-Order": "7", "List-Id": "naïve <list.example>"},
    )

    (received,) = mail_server.mails
    message = received.message
    assert ("latchwork@localhost", ["ada@example.com", "j@example.org"]) == (received.sender, received.recipients)
    assert ["Ada Lovelace", "Jürgen Größe"] == [message[name].addresses[0].display_name for name in ("to", "cc")]
    assert ("Grüße aus Köln ✓", "desk@example.com", "7", "naïve <list.example>") == (
        message["subject"], message["reply-to"], message["x-order"], message["list-id"])
    assert "Zeile 1\r\nZeile 2 äöü\r\n" == message.get_content().replace("\n", "\r\n").replace("\r\r", "\r")
    assert "auto-generated" == message["auto-submitted"]
    assert {"accepted": ["ada@example.com", "j@example.org"], "refused": [], "message_id": message["message-id"],
            "bytes": len(received.content)} == handled.result


def test_a_blind_copy_stands_in_the_envelope_alone(mail_server):
    run(to=["a@example.com"], bcc=["Secret <hidden@example.com>"])

    (received,) = mail_server.mails
    assert ["a@example.com", "hidden@example.com"] == received.recipients
    assert b"hidden" not in received.content


def test_text_and_html_are_alternatives_and_html_alone_is_the_mail(mail_server):
    run(html="<p>Höflich</p>")
    run(text=None, html="<p>only</p>")

    both, alone = (received.message for received in mail_server.mails)
    assert ("multipart/alternative", ["text/plain", "text/html"]) == (
        both.get_content_type(), [part.get_content_type() for part in both.iter_parts()])
    assert "<p>Höflich</p>" in both.get_body(("html",)).get_content()
    assert ("text/html", "<p>only</p>") == (alone.get_content_type(), alone.get_content().strip())


@pytest.mark.parametrize(("name", "content"), [
    ("any bytes.bin", EVERY_BYTE),
    ("unix.txt", b"one\ntwo\n\n.\nFrom me\n"),
    ("dos.csv", "a;b\r\nä;ö\r\n".encode()),
    ("page.html", b"<html><body>no end of line"),
    ("forwarded.eml", b"From: a@b.c\nSubject: x\n\nbody\n"),
    ('Straße ☂ "quoted".pdf', b"%PDF-1.7\n"),
    ("empty", b""),
])
def test_an_attachment_arrives_byte_for_byte_under_its_name(name, content, mail_server):
    artifact = artifacts.save(name, content)
    run(attachments=[str(artifact.id)])

    (part,) = mail_server.mails[0].message.iter_attachments()
    assert (name, content) == (part.get_filename(), part.get_payload(decode=True))
    assert "attachment" == part.get_content_disposition()


def test_a_large_file_arrives_whole_beside_a_small_one(mail_server):
    large = os.urandom(2 * 1024 * 1024 + 1)
    ids = [str(artifacts.save(name, content).id) for name, content in (("large", large), ("small", b"1"))]
    run(attachments=ids)

    parts = list(mail_server.mails[0].message.iter_attachments())
    assert [hashlib.sha256(large).digest(), hashlib.sha256(b"1").digest()] == [
        hashlib.sha256(part.get_payload(decode=True)).digest() for part in parts]


def test_the_same_recipient_twice_gets_one_mail(mail_server):
    run(to=["a@example.com", "A <a@example.com>"], bcc=["a@example.com"])

    assert [["a@example.com"]] == [received.recipients for received in mail_server.mails]


def test_lines_that_a_server_could_take_for_the_end_stay_within_the_mail(mail_server):
    text = "before\n.\nQUIT\r\n.\r\nMAIL FROM:<x@example.com>\r\n\r.\rafter " + "long " * 400
    run(text=text)

    (received,) = mail_server.mails
    assert "after" in received.message.get_content()
    assert max(len(line) for line in received.content.split(b"\r\n")) <= 998


def test_a_hundred_recipients_with_long_names_arrive_as_they_were_written(mail_server):
    names = [f"{'Ü, ' * 20}\"{number}" for number in range(50)], [f"{'x' * 90} {number}" for number in range(50)]
    to, cc = ([f'"{name.replace(chr(34), chr(92) + chr(34))}" <a{number}@example.com>' for number, name in enumerate(each)] for each in names)
    run(to=to, cc=cc)

    (received,) = mail_server.mails
    headers = message_from_bytes(received.content)   # the newer reader puts blanks between the words of a long name
    read = [
        [str(make_header(decode_header(name))) for name, _ in getaddresses([headers[field]])] for field in ("To", "Cc")
    ]
    assert list(names) == read
    assert max(len(line) for line in received.content.split(b"\r\n")) <= 998


# A repeat.


def test_every_attempt_of_a_job_has_one_message_id_and_other_jobs_have_others(mail_server):
    one, other = uuid7(), uuid7()
    for job_id, attempt in ((one, 1), (one, 2), (other, 1)):
        testing.run_handler("email.send", MAIL, id=job_id, attempt=attempt)

    assert [f"<{each}@localhost>" for each in (one, one, other)] == [each.message["message-id"] for each in mail_server.mails]


def test_the_message_id_and_the_sender_are_of_the_domain_that_mails_come_from(mail_server, settings):
    settings.DEFAULT_FROM_EMAIL = "Kölner Shop <mail@köln.example>"
    handled = run()

    (received,) = mail_server.mails
    assert handled.result["message_id"].endswith("@xn--kln-sna.example>")
    assert ("mail@xn--kln-sna.example", "Kölner Shop") == (
        received.sender, received.message["from"].addresses[0].display_name)


# What the server will not have.


@pytest.mark.parametrize(("script", "kind", "error", "word"), [
    ({"mail": "421 shutting down"}, Retry, "Deferred", "421 shutting down"),
    ({"mail": "451 try later"}, Retry, "Deferred", "to the sender"),
    ({"mail": "550 sender unknown"}, Discard, "Rejected", "550 sender unknown"),
    ({"recipients": {"*": "450 greylisted"}}, Retry, "Deferred", "ada@example.com: 450 greylisted"),
    ({"recipients": {"*": "421 too busy"}}, Retry, "Deferred", "421 too busy"),
    ({"recipients": {"*": "550 5.1.1 no such user"}}, Discard, "Rejected", "ada@example.com: 550 5.1.1 no such user"),
    ({"data": "452 no room"}, Retry, "Deferred", "452 no room"),
    ({"data": "554 5.7.1 looks like spam"}, Discard, "Rejected", "554 5.7.1 looks like spam to the mail"),
    ({"stops_at": "MAIL"}, Retry, "Unreachable", "closed the connection"),
    ({"stops_at": "RCPT"}, Retry, "Unreachable", "closed the connection"),
    ({"stops_at": "DATA"}, Retry, "Unreachable", "closed the connection"),
])
def test_what_the_server_puts_off_is_tried_again_and_what_it_refuses_is_not(script, kind, error, word, mail_server):
    mail_server.answers(**script)
    got = outcome()

    assert (kind, error) == (type(got), got.error)
    assert word in got.reason
    assert [] == mail_server.mails


@pytest.fixture
def _impatient(monkeypatch):
    monkeypatch.setattr(backend, "WHOLE_SECONDS", 1.0)


@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize(("behaviour", "kind", "error", "word"), [
    (servers.closes, Retry, "Unreachable", "closed the connection"),
    (servers.silent, Retry, "TimedOut", "did not answer in time"),
    (servers.drips, Retry, "TimedOut", "no whole answer"),
    (servers.says(b"421 too many connections\r\n"), Retry, "Deferred", "421 too many connections"),
    (servers.says(b"554 no SMTP service here\r\n"), Discard, "Rejected", "554 no SMTP service here"),
    (servers.says(b"HTTP/1.1 400 Bad Request\r\n\r\n"), Retry, "Deferred", "to our connection"),
    (servers.says(b"554 \x1b[31mred\x00 and\r\n"), Discard, "Rejected", "554 [31mred and to our connection"),
])
def test_a_server_that_is_none_is_told_apart(behaviour, kind, error, word, settings):
    with BareServer(behaviour) as server:
        sends_to(settings, server.port)
        if behaviour is servers.silent:
            settings.EMAIL_TIMEOUT = 0.5
        got = outcome()

    assert (kind, error) == (type(got), got.error)
    assert word in got.reason
    assert got.reason.isprintable()


def test_a_job_with_little_time_ends_before_its_time_does(settings):
    with BareServer(servers.drips) as server:
        sends_to(settings, server.port)
        got = testing.run_handler("email.send", MAIL, timeout=timedelta(seconds=2.5)).outcome

    assert (Retry, "TimedOut") == (type(got), got.error)


def test_nobody_at_the_address_is_tried_again(settings):
    with BareServer(servers.closes) as server:
        port = server.port
    sends_to(settings, port)
    got = outcome()

    assert (Retry, "Unreachable") == (type(got), got.error)
    assert f"127.0.0.1:{port} is unreachable: Connection refused" == got.reason


def test_a_server_that_took_the_mail_and_does_not_say_goodbye_has_taken_it(settings, monkeypatch):
    monkeypatch.setattr(backend, "GOODBYE_SECONDS", 0.2)
    with BareServer(servers.takes_and_hangs) as server:
        sends_to(settings, server.port)
        handled = run()

    assert (None, ["ada@example.com"]) == (handled.outcome, handled.result["accepted"])


def test_without_a_server_a_mail_ends_with_the_setting_to_make(settings):
    settings.EMAIL_BACKEND = "core.mail.backend.SmtpBackend"
    settings.EMAIL_HOST = ""
    got = outcome()

    assert (Discard, "NotConfigured") == (type(got), got.error)
    assert "EMAIL_URL is not set" in got.reason


def test_any_other_backend_of_django_works_too(settings, mailoutbox):
    handled = run(bcc=["b@example.com"])

    assert ["ada@example.com", "b@example.com"] == mailoutbox[0].recipients() == handled.result["accepted"]


# Recipients of whom some are refused.


def test_a_recipient_that_is_refused_is_told_and_the_others_get_the_mail(mail_server):
    mail_server.answers(recipients={"no@example.com": "550 5.1.1 no such user"})
    handled = run(to=["ada@example.com", "no@example.com"])

    assert (None, ["ada@example.com"]) == (handled.outcome, handled.result["accepted"])
    assert [{"address": "no@example.com", "code": 550, "message": "5.1.1 no such user"}] == handled.result["refused"]
    assert 0 == Job.objects.count()


def test_a_recipient_that_is_put_off_gets_the_same_mail_by_a_job_of_its_own(mail_server):
    mail_server.answers(recipients={"later@example.com": "450 greylisted", "no@example.com": "550 gone"}, times=1)
    attached = str(artifacts.save("a.bin", EVERY_BYTE).id)
    job_id = uuid7()
    first = testing.run_handler(
        "email.send", {**MAIL, "bcc": ["Late <later@example.com>", "no@example.com"], "attachments": [attached]}, id=job_id)
    (rest,) = Job.objects.all()
    second = testing.run_handler("email.send", rest.payload, id=rest.id)

    assert (True, str(rest.id)) == (first.completed, first.result["continued_by"])
    assert ["later@example.com", "no@example.com"] == [each["address"] for each in first.result["refused"]]
    assert [["ada@example.com"], ["later@example.com"]] == [received.recipients for received in mail_server.mails]
    assert ["later@example.com"] == second.result["accepted"]
    assert 1 == len({received.message["message-id"] for received in mail_server.mails})
    assert ["ada@example.com"] * 2 == [received.message["to"] for received in mail_server.mails]


def test_the_job_that_goes_on_is_like_the_one_before(mail_server):
    mail_server.answers(recipients={"later@example.com": "450 greylisted"})
    job_id = jobs.enqueue(
        "email.send", {**MAIL, "cc": ["later@example.com"]}, priority=2, max_attempts=3, tags=["welcome"], request_id="r-1")
    testing.drain()
    done = Job.objects.get(id=job_id)
    rest = Job.objects.get(id=done.result["continued_by"])

    assert ("completed", "scheduled") == (done.status, rest.status)
    assert (2, 3, ["welcome"], "r-1", "default") == (rest.priority, rest.max_attempts, rest.tags, rest.request_id, rest.queue)
    assert {"job": str(job_id), "recipients": ["later@example.com"]} == rest.payload["remainder"]


def test_a_job_whose_rest_would_be_too_large_ends_with_what_it_did(mail_server):
    mail_server.answers(recipients={"later@example.com": "450 greylisted"})
    handled = run(bcc=["later@example.com"], text="x" * (registry.MAX_PAYLOAD_BYTES - 110))

    assert (None, ["ada@example.com"], None) == (handled.outcome, handled.result["accepted"], handled.result["continued_by"])
    assert (1, 0) == (len(mail_server.mails), Job.objects.count())


def test_when_nobody_is_taken_and_one_may_be_later_all_is_tried_again(mail_server):
    mail_server.answers(recipients={"ada@example.com": "550 gone", "b@example.com": "450 later"})
    got = outcome(cc=["b@example.com"])

    assert (Retry, True, True) == (type(got), "550 gone" in got.reason, "450 later" in got.reason)


# What cannot be sent.


def test_an_artifact_that_is_not_there_ends_the_job_by_its_place(mail_server):
    missing = uuid7()
    got = outcome(attachments=[str(artifacts.save("a", b"1").id), str(missing)])

    assert (Discard, "AttachmentMissing") == (type(got), got.error)
    assert f"/payload/attachments/1: there is no artifact {missing}" in got.reason
    assert 0 == mail_server.tried


def test_a_mail_that_is_too_large_is_told_before_its_files_are_read(mail_server, settings, monkeypatch):
    settings.EMAIL_MAX_BYTES = 100_000
    fits, large = (str(artifacts.save("f", b"x" * size).id) for size in (70_000, 80_000))

    assert outcome(attachments=[fits]) is None
    monkeypatch.setattr(artifacts, "opened", None)   # to read one would be an error
    got = outcome(attachments=[large])
    assert (Discard, "TooLarge") == (type(got), got.error)
    assert re.search("^/payload/attachments: .*at most 100000 are sent", got.reason)


@pytest.mark.parametrize(("words", "member"), [
    ({"text": "x" * 1000}, "text"), ({"html": "x" * 1000}, "html"), ({"text": "x" * 500, "html": "x" * 501}, "html"),
])
def test_a_mail_whose_words_make_it_too_large_is_told_with_the_longest(words, member, mail_server, settings):
    settings.EMAIL_MAX_BYTES = 1000
    got = outcome(**words)

    assert (Discard, "TooLarge") == (type(got), got.error)
    assert got.reason.startswith(f"/payload/{member}: the mail would have ")
    assert 0 == mail_server.tried


def test_a_mail_that_the_server_finds_too_large_is_its_refusal(mail_server, settings):
    settings.EMAIL_MAX_BYTES = 2 * servers.FULL
    large = str(artifacts.save("large", b"x" * servers.FULL).id)
    got = outcome(attachments=[large])

    assert (Discard, "Rejected") == (type(got), got.error)
    assert "552" in got.reason


@pytest.mark.parametrize("name", ["a\r\nBcc: x@example.com", "a\nb", "a\x00", "a\u2028b", "=?utf-8?q?=0D=0ABcc:_x?=", "\x7f"])
def test_a_name_of_an_artifact_that_would_break_out_ends_the_job(name, mail_server):
    artifact = artifacts.save("fine", b"1")
    if "\x00" in name:   # the database would refuse it first
        name = name.replace("\x00", "\x01")
    Artifact.objects.filter(id=artifact.id).update(name=name)   # past the cleaning that every name goes through
    got = outcome(attachments=[str(artifact.id)])

    assert (Discard, "UnsafeName") == (type(got), got.error)
    assert 0 == mail_server.tried


def test_its_schema_is_complete_and_its_policy_patient():
    job_type = registry.get("email.send")

    assert {"to", "cc", "bcc", "subject", "text", "html", "reply_to", "headers", "attachments", "remainder"} == set(
        job_type.schema()["properties"])
    assert job_type.retry.delay_seconds(7) > 2000
