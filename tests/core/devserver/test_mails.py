from email.message import EmailMessage

import pytest

from core.devserver import mails
from core.devserver.mails import Mails, decoded


@pytest.fixture
def kept(tmp_path):
    return Mails(tmp_path / "mails")


def keep(kept, number, size=10):
    return kept.keep(f"Subject: {number}\r\n\r\n".encode() + b"x" * size, sender="a@example.com", recipients=["b@example.com"])


def test_a_mail_is_kept_as_it_came_for_its_owner_alone(kept):
    name = kept.keep(b"Subject: x\r\n\r\n\x00\xff\r\n", sender="a@example.com", recipients=["b@example.com", "c@example.com"])
    mail = kept.get(name)

    assert (b"Subject: x\r\n\r\n\x00\xff\r\n", ["b@example.com", "c@example.com"], "a@example.com") == (
        mail.source, mail.envelope.recipients, mail.envelope.sender)
    assert 0o700 == kept.folder.stat().st_mode & 0o777


def test_there_are_never_more_than_the_newest(kept, monkeypatch):
    monkeypatch.setattr(mails, "MOST", 3)
    for number in range(5):
        keep(kept, number)

    assert ["4", "3", "2"] == [line.subject for line in kept.newest()]
    assert 6 == len(list(kept.folder.iterdir()))


def test_the_folder_never_has_more_bytes_than_it_may_and_always_the_last_mail(kept, monkeypatch):
    monkeypatch.setattr(mails, "MOST_BYTES", 5000)
    for number in range(3):
        keep(kept, number, size=2000)
    two = [line.subject for line in kept.newest()]
    keep(kept, "large", size=9000)

    assert (["2", "1"], ["large"]) == (two, [line.subject for line in kept.newest()])


def test_a_mail_that_goes_while_we_look_is_left_out(kept):
    gone, stays = keep(kept, "gone"), keep(kept, "stays")
    (kept.folder / f"{gone}.json").unlink()

    assert (["stays"], None) == ([line.subject for line in kept.newest()], kept.get(gone))
    assert kept.get(stays)


def test_a_folder_that_is_not_there_is_empty(kept):
    assert [] == kept.newest()


def test_its_parts_are_told_apart(kept):
    message = EmailMessage()
    message["Subject"] = "Grüße"
    message.set_content("Text ä")
    message.add_alternative("<p>HTML ä", subtype="html")
    message.add_attachment(b"\x00\xff", maintype="application", subtype="pdf", filename="ü.pdf")
    message.add_attachment("<p>file", subtype="html", filename="page.html")
    mail = kept.get(kept.keep(message.as_bytes(), sender="", recipients=[]))

    assert ("Grüße", "Text ä\n", "<p>HTML ä\n") == (mail.subject, mail.text, mail.html)
    assert [(0, "ü.pdf", "application/pdf", b"\x00\xff"), (1, "page.html", "text/html", b"<p>file\n")] == [
        (part.number, part.name, part.content_type, part.content) for part in mail.attachments]


@pytest.mark.parametrize(("value", "shown"), [
    ("=?utf-8?q?a=0D=0AB=00?=", "a B\ufffd"),
    ("=?nonsense?q?a?=", "=?nonsense?q?a?="),
    ("=?utf-8?b?a?=", "=?utf-8?b?a?="),
    ("two\r\n lines", "two lines"),
    ("tab\there", "tab\there"),
])
def test_a_header_is_shown_on_one_line_whatever_it_holds(value, shown):
    assert shown == decoded(value)
