"""The local mail server, as the process that it is."""

import smtplib
import subprocess
import sys
from pathlib import Path

import pytest

from core.devserver import ports
from core.devserver.mails import Mails
from tests.support.waiting import until

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def sink(tmp_path):
    port = ports.unused()
    command = [sys.executable, "-m", "core.devserver.sink", f"--port={port}", f"--folder={tmp_path / 'mails'}"]
    with subprocess.Popen(command, cwd=ROOT / "platform", stderr=subprocess.PIPE) as process:
        until(lambda: ports.answers(port), timeout=20)
        yield process, port, Mails(tmp_path / "mails")
        process.kill()


def test_it_takes_a_mail_byte_for_byte(sink):
    _, port, mails = sink
    content = b"Subject: x\r\n\r\n.one dot\r\n..two\r\n\xff\x00\r\n"
    with smtplib.SMTP("127.0.0.1", port) as client:
        client.sendmail("a@example.com", ["b@example.com", "c@example.com"], content)
    mail = mails.get(mails.newest()[0].id)

    assert (content, "a@example.com", ["b@example.com", "c@example.com"]) == (
        mail.source, mail.envelope.sender, mail.envelope.recipients)


def test_it_listens_on_this_machine_alone(sink):
    import psutil

    process, port, _ = sink
    listening = [each.laddr for each in psutil.Process(process.pid).net_connections() if each.status == psutil.CONN_LISTEN]

    assert [("127.0.0.1", port)] == [tuple(each) for each in listening]


def test_a_mail_that_is_too_large_is_refused(sink):
    _, port, mails = sink
    with smtplib.SMTP("127.0.0.1", port) as client:
        client.ehlo()
        with pytest.raises(smtplib.SMTPSenderRefused) as refused:
            client.sendmail("a@example.com", ["b@example.com"], b"x" * (51 * 1024 * 1024))

    assert (552, []) == (refused.value.smtp_code, mails.newest())


def test_it_ends_when_asked_to_without_a_complaint(sink):
    process, port, _ = sink
    with smtplib.SMTP("127.0.0.1", port):   # also while somebody is connected
        process.terminate()

        assert (0, b"") == (process.wait(10), process.stderr.read())


def test_it_needs_no_django(sink):
    code = "import sys, core.devserver.sink; print('django' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT / "platform", capture_output=True, text=True, check=True)

    assert "False\n" == answer.stdout
