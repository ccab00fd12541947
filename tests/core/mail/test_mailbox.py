from email.header import decode_header, make_header
from email.utils import parseaddr

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.mail import mailbox
from core.mail.mailbox import Mailbox


@pytest.mark.parametrize(("text", "name", "address"), [
    ("ada@example.com", "", "ada@example.com"),
    ("  ada@example.com ", "", "ada@example.com"),
    ("<ada@example.com>", "", "ada@example.com"),
    ("Ada Lovelace <ada@example.com>", "Ada Lovelace", "ada@example.com"),
    ("J. R. Hartley<j@example.com>", "J. R. Hartley", "j@example.com"),
    ('"Lovelace, Ada" <ada@example.com>', "Lovelace, Ada", "ada@example.com"),
    (r'"a \"b\" \\c" <ada@example.com>', r'a "b" \c', "ada@example.com"),
    ("Jürgen Größe <j@example.com>", "Jürgen Größe", "j@example.com"),
    ("日本語 <j@例え.jp>", "日本語", "j@xn--r8jz45g.jp"),
    ("Ada@EXAMPLE.com", "", "Ada@example.com"),
    ("root@localhost", "", "root@localhost"),
    ("ops@build.local", "", "ops@build.local"),
])
def test_a_mailbox_is_read(text, name, address):
    assert Mailbox(address, name) == mailbox.parse(text)


@given(st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), min_size=1, max_size=mailbox.LONGEST_NAME))
def test_a_header_gives_back_the_name_and_nothing_else(name):
    written = str(Mailbox("ada@example.com", name))
    shown, address = parseaddr(written)

    assert (True, "ada@example.com") == (written.isascii(), address)
    assert not mailbox.breaking("".join(part for part in (written,) if "=?" not in part))
    if not mailbox.breaking(name):
        assert name.strip() == str(make_header(decode_header(shown))).strip()


@given(st.text(max_size=300))
def test_whatever_is_given_is_a_mailbox_or_a_sentence(text):
    said = ""
    try:
        said = str(mailbox.parse(text))
        header = said
    except ValueError as exc:
        said, header = str(exc), "x"

    assert (True, True, 1) == (said.isprintable(), header.isascii(), len(header.splitlines()))


def test_a_long_name_is_written_in_words_that_every_server_takes():
    written = str(Mailbox("ada@example.com", "ü" * 100))

    assert max(len(word) for word in written.split()) <= 75
