import pytest

from config.settings import env
from core.errors import Misconfigured
from core.mail import relay
from core.mail.relay import Relay


@pytest.mark.parametrize(("url", "expected"), [
    ("", Relay()),
    ("smtp://mail.example.com", Relay(host="mail.example.com", port=25)),
    ("smtp://mail.example.com:2525/", Relay(host="mail.example.com", port=2525)),
    ("smtp://mail.example.com?tls=true", Relay(host="mail.example.com", port=587, tls="starttls")),
    ("smtp://mail.example.com:25?tls=Yes&timeout=5&connect_timeout=2.5",
     Relay(host="mail.example.com", port=25, tls="starttls", answer_seconds=5, connect_seconds=2.5)),
    ("smtps://ada:pa%3As%40s%2F@mail.example.com",
     Relay(host="mail.example.com", port=465, user="ada", password="pa:s@s/", tls="implicit")),
    ("smtp://ada%40example.com:x@mail.example.com?tls=1",
     Relay(host="mail.example.com", port=587, user="ada@example.com", password="x", tls="starttls")),
    ("smtp://ada:x@127.0.0.1:1025", Relay(host="127.0.0.1", port=1025, user="ada", password="x")),
    ("smtp://ada:x@[::1]:1025", Relay(host="::1", port=1025, user="ada", password="x")),
    ("smtp://ada:x@inside?tls=false", Relay(host="inside", port=25, user="ada", password="x")),
])
def test_an_address_is_read(url, expected):
    assert expected == relay.parse(url)


@pytest.mark.parametrize(("url", "fix"), [
    ("mail.example.com", "smtp://user:password@host:port"),
    ("http://mail.example.com", "smtp://user:password@host:port"),
    ("smtp:///x", "smtp://user:password@host:port"),
    ("smtp://mail.example.com/inbox", "smtp://user:password@host:port"),
    ("smtp://mail.example.com:99999", "1 to 65535"),
    ("smtp://mail.example.com:0", "1 to 65535"),
    ("smtp://ada@mail.example.com", "both user and password"),
    ("smtp://ada:@mail.example.com", "both user and password"),
    ("smtp://ada:p%C3%A4ss@mail.example.com?tls=true", "in ASCII"),
    ("smtp://ada:x@mail.example.com", "would send the password over a plain line: add ?tls=true"),
    ("smtp://mail.example.com?tsl=true", "'tsl' that is none: known are tls, connect_timeout, timeout"),
    ("smtp://mail.example.com?tls=maybe", "neither true nor false"),
    ("smtp://mail.example.com?tls=", "neither true nor false"),
    ("smtp://mail.example.com?tls=true&tls=false", "twice"),
    ("smtps://mail.example.com?tls=false", "smtp:// is without TLS"),
    ("smtp://mail.example.com?timeout=soon", "timeout that is no number of seconds"),
    ("smtp://mail.example.com?timeout=-1", "timeout that is no number of seconds"),
    ("smtp://mail.example.com?timeout=nan", "timeout that is no number of seconds"),
    ("smtp://mail.example.com?connect_timeout=61", "connect_timeout that is no number of seconds from above 0 to 60"),
])
def test_a_wrong_address_is_refused_by_the_settings_with_the_fix_and_without_the_password(url, fix):
    with pytest.raises(Misconfigured) as caught:
        env.read({"EMAIL_URL": url.replace("ada:x", "ada:hush-hush")})
    (problem,) = caught.value.problems

    assert (True, True, False) == (problem.startswith("EMAIL_URL: "), fix in problem, "hush" in problem)


def test_a_password_is_not_shown():
    assert "hush" not in repr(relay.parse("smtps://ada:hush@mail.example.com"))


@pytest.mark.parametrize("sender", ["nobody", "Shop shop@example.com", "Shop <shop@example.com>\r\nBcc: x@example.com", "a@b, c@d"])
def test_a_wrong_sender_is_refused_by_the_settings(sender):
    with pytest.raises(Misconfigured, match="EMAIL_FROM"):
        env.read({"EMAIL_FROM": sender})
