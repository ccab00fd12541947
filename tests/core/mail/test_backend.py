"""Lines to real servers: TLS, log-ins, and what is never said in clear."""

import io
import socket
import subprocess
import threading

import pytest
from django.core import mail

from core.mail import relay, sending
from core.mail.mailbox import Mailbox
from core.mail.message import Attachment, Letter, Message, UnsafeName
from tests.support.mail_server import BareServer, MailServer, sends_to, server_context, silent


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """A key and a certificate for localhost that the tests may trust."""
    folder = tmp_path_factory.mktemp("certificate")
    key, made = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key, "-out", made],
        check=True, capture_output=True,
    )
    return key, made


@pytest.fixture
def trusted(certificate, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[1]))


def by_url(settings, url):
    """Set what base.py sets for an EMAIL_URL."""
    found = relay.parse(url)
    sends_to(settings, found.port)
    settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD = found.user, found.password
    settings.EMAIL_USE_TLS, settings.EMAIL_USE_SSL = found.tls == "starttls", found.tls == "implicit"


def letter(**more):
    given = {"message_id": "<1@example.com>", "sender": Mailbox("shop@example.com", "Shop"), "to": [Mailbox("ada@example.com")],
             "subject": "Hello", "text": "A line.\n"}
    return Message(Letter(**{**given, **more}))


@pytest.mark.usefixtures("trusted")
def test_a_line_turns_to_tls_before_anything_is_said(certificate, settings):
    with MailServer(tls_context=server_context(*certificate), require_starttls=True) as server:
        by_url(settings, f"smtp://127.0.0.1:{server.port}?tls=true")
        sending.send(letter())

    assert [True] == server.over_tls


@pytest.mark.usefixtures("trusted")
def test_smtps_is_tls_from_the_first_byte(certificate, settings):
    with MailServer(implicit_tls=server_context(*certificate)) as server:
        by_url(settings, f"smtps://127.0.0.1:{server.port}")
        sending.send(letter())

    assert [True] == server.over_tls


@pytest.mark.parametrize("scheme", ["smtps://127.0.0.1:{}", "smtp://127.0.0.1:{}?tls=true"])
def test_a_certificate_that_nobody_trusts_ends_the_line(scheme, certificate, settings):
    context = server_context(*certificate)
    options = {"implicit_tls": context} if scheme.startswith("smtps") else {"tls_context": context}
    with MailServer(**options) as server:
        by_url(settings, scheme.format(server.port))
        with pytest.raises(sending.Unreachable, match=r"(?i)certificate.verify.failed"):
            sending.send(letter())

    assert [] == server.mails


def test_a_server_without_tls_gets_neither_password_nor_mail(settings):
    with MailServer() as server:
        by_url(settings, f"smtp://ada:right@127.0.0.1:{server.port}?tls=true")
        with pytest.raises(sending.Rejected, match="STARTTLS"):
            sending.send(letter())

    assert ([], []) == (server.mails, server.logins)


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("scheme", ["smtps", "smtp"])
def test_a_log_in_lets_in_and_a_wrong_one_is_the_servers_refusal(scheme, certificate, settings):
    context = server_context(*certificate)
    options = {"smtps": {"implicit_tls": context, "auth_require_tls": False}, "smtp": {"tls_context": context, "auth_required": True}}
    with MailServer(**options[scheme]) as server:
        server._options["authenticator"] = server.authenticate
        ending = "?tls=true" if scheme == "smtp" else ""
        by_url(settings, f"{scheme}://ada:right@127.0.0.1:{server.port}{ending}")
        sending.send(letter())
        by_url(settings, f"{scheme}://ada:wrong@127.0.0.1:{server.port}{ending}")
        with pytest.raises(sending.Rejected, match=r"535.*to the log-in of EMAIL_URL") as refused:
            sending.send(letter())

    assert ((b"ada", b"right"), 1) == (server.logins[0], len(server.mails))
    assert "wrong" not in str(refused.value)


def test_a_connection_that_comes_when_the_time_is_over_is_given_up(settings, monkeypatch):
    connect = socket.create_connection

    def late(*args):
        threading.Event().wait(0.3)   # a resolver that takes its time cannot be interrupted
        return connect(*args)

    monkeypatch.setattr("smtplib.socket.create_connection", late)
    with BareServer(silent) as server:
        by_url(settings, f"smtp://127.0.0.1:{server.port}")
        with pytest.raises(sending.TimedOut, match=r"no whole answer within 0\.1 seconds"):
            sending.send(letter(), seconds=-1)


def test_other_mails_of_the_application_go_the_same_way(settings):
    with MailServer() as server:
        by_url(settings, f"smtp://127.0.0.1:{server.port}")
        mail.send_mail("Password", "reset", None, ["Jürgen <j@example.com>"])

    assert [["j@example.com"]] == [received.recipients for received in server.mails]


def test_a_mail_goes_to_those_alone_whom_its_letter_names_last():
    message = letter(to=[Mailbox("a@example.com"), Mailbox("b@example.com")], bcc=[Mailbox("c@example.com")], only=["c@example.com"])

    assert ["c@example.com"] == message.recipients()
    assert "a@example.com, b@example.com" == message.message()["To"]


@pytest.mark.parametrize(("content_type", "sent"), [
    ("text/csv", "text/csv"),
    ("text/html; charset=x", "text/html"),
    ("IMAGE/PNG", "image/png"),
    ("message/rfc822", "application/octet-stream"),
    ("multipart/mixed", "application/octet-stream"),
    ("text/plain\r\nX: y", "application/octet-stream"),
    ("nonsense", "application/octet-stream"),
    ("", "application/octet-stream"),
])
def test_a_content_type_is_one_or_none(content_type, sent):
    assert sent == Attachment.of("a", content_type, io.BytesIO(b"1")).part()["Content-Type"]


@pytest.mark.parametrize("name", ["a\r\nX: y", "a\nb", "a\u2028b", "=?utf-8?q?=0A?=", "\x00"])
def test_a_name_that_is_more_than_a_name_is_refused(name):
    with pytest.raises(UnsafeName):
        Attachment.of(name, "text/plain", io.BytesIO(b"1")).part()


@pytest.mark.parametrize(("name", "ending"), [("日" * 200 + ".xlsx", ".xlsx"), ("x" * 300, "x"), ("a." + "y" * 300, "y"), ("/etc/passwd", "passwd")])
def test_a_long_name_keeps_its_end_and_its_line_a_length_that_servers_take(name, ending):
    message = letter(attachments=[Attachment.of(name, "text/plain", io.BytesIO(b"1"))])

    assert max(len(line) for line in message.wire.split(b"\r\n")) <= 998
    assert message.message().get_payload()[1].get_filename().endswith(ending)
