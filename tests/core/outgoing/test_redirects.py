"""Redirects: followed only when asked, each hop checked like the first."""

import pytest

from core import outgoing
from core.outgoing import addresses
from core.outgoing.client import _Request

PUBLIC, OTHER = "93.184.215.14", "93.184.215.15"
SECRETS = {"Authorization": "Bearer x", "Cookie": "a=b", "X-Api-Key": "k", "Idempotency-Key": "i"}


@pytest.fixture(autouse=True)
def no_inner_addresses(settings):
    settings.OUTGOING_ALLOW_PRIVATE = False


@pytest.fixture
def here(server, internet):
    return internet.place("here.test", PUBLIC, server)


@pytest.fixture
def there(other_server, internet):
    return internet.place("there.test", OTHER, other_server)


def test_a_redirect_is_an_answer_unless_it_is_to_be_followed(server, here):
    server.answers("/from", 302, b"moved", Location="/to")
    server.answers("/to", body=b"arrived")

    got = outgoing.request("GET", f"{here}/from")
    followed = outgoing.request("GET", f"{here}/from", allow_redirects=True)

    assert (302, "/to", f"{here}/from") == (got.status, got.headers["location"], got.url)
    assert (200, b"arrived", f"{here}/to") == (followed.status, followed.body, followed.url)


@pytest.mark.parametrize("follow", [False, True])
def test_the_body_of_a_redirect_is_not_read_beyond_the_limit(follow, server, here):
    def endless(handler):
        handler.send_response(302)
        handler.send_header("Location", "/to")
        handler.end_headers()
        while True:
            handler.wfile.write(b"x" * 65536)

    server.on("/from", endless)
    server.answers("/to", body=b"arrived")

    got = outgoing.request("GET", f"{here}/from", max_bytes=10, allow_redirects=follow)

    assert (b"arrived" if follow else b"x" * 10) == got.body
    assert server.left_alone.wait(10)


def test_a_broken_redirect_that_is_not_to_be_followed_is_an_answer(server, here):
    server.answers("/from", 302, Location="http://[::1/")

    assert 302 == outgoing.request("GET", f"{here}/from").status


@pytest.mark.parametrize("inner", ["http://127.0.0.1:{port}/", "http://[::ffff:127.0.0.1]:{port}/", "http://inner.test/"])
def test_a_redirect_to_the_inside_is_refused(inner, server, other_server, here, internet):
    internet.names["inner.test"] = ["127.0.0.1"]
    other_server.answers("/", body=b"secret")
    server.answers("/from", 302, Location=inner.format(port=other_server.port))

    with pytest.raises(outgoing.Refused):
        outgoing.request("GET", f"{here}/from", allow_redirects=True)

    assert ([], [(PUBLIC, 80)]) == (other_server.seen, internet.connections)


def test_credentials_go_along_within_an_origin(server, here):
    server.answers("/from", 307, Location="/to")
    server.answers("/to")

    outgoing.request("POST", f"{here}/from", headers=SECRETS, body=b"x", allow_redirects=True)

    seen = server.seen[-1]
    assert ("/to", "POST", b"x") == (seen.path, seen.method, seen.body)
    assert SECRETS == {name: seen.headers[name.lower()] for name in SECRETS}


def test_credentials_do_not_go_to_another_origin(server, other_server, here, there):
    server.answers("/from", 302, Location=f"{there}/to", Set_Cookie="session=1; Domain=test")
    other_server.answers("/to")

    outgoing.request("GET", f"{here}/from", headers=SECRETS | {"Accept": "text/plain"}, allow_redirects=True)

    seen = other_server.seen[0]
    assert {"accept": "text/plain"} == {
        name: value for name, value in seen.headers.items()
        if name not in ("host", "user-agent", "accept-encoding", "connection")
    }


def test_another_port_is_another_origin(server, here):
    server.answers("/from", 302, Location="http://here.test:81/to")
    server.answers("/to")

    outgoing.request("GET", f"{here}/from", headers=SECRETS, allow_redirects=True)

    assert "authorization" not in server.seen[1].headers


@pytest.mark.parametrize("status", [301, 302, 303])
def test_a_post_that_is_sent_elsewhere_becomes_a_get_without_its_body(status, server, here):
    server.answers("/from", status, Location="/to")
    server.answers("/to")

    outgoing.request(
        "POST", f"{here}/from", headers={"Content-Type": "text/plain"}, body=b"x", allow_redirects=True,
    )

    seen = server.seen[1]
    assert ("GET", b"", False) == (seen.method, seen.body, "content-type" in seen.headers)


def test_redirects_in_a_circle_end(server, here):
    server.answers("/", 302, Location="/")

    with pytest.raises(outgoing.RedirectRefused, match="5 redirects went before"):
        outgoing.request("GET", f"{here}/", allow_redirects=True)

    assert 6 == len(server.seen)


@pytest.mark.parametrize("location", ["ftp://there.test/", "http://user:secret@there.test/", "http://[::1/", "file:///etc"])
def test_a_redirect_to_what_is_no_plain_address_is_refused(location, server, here):
    server.answers("/", 302, Location=location)

    with pytest.raises(outgoing.RedirectRefused) as refused:
        outgoing.request("GET", f"{here}/", allow_redirects=True)

    assert "secret" not in str(refused.value)


def test_a_redirect_does_not_leave_encryption():
    secure = _Request("GET", addresses.parse("https://here.test/"), {}, None)

    with pytest.raises(outgoing.RedirectRefused, match="leaves encryption"):
        secure.redirected(302, "http://here.test/")

    assert "https://here.test/x" == secure.redirected(302, "/x").target.url


def test_hops_share_one_deadline(server, here):
    def slow(handler):
        if not handler.server.closing.wait(0.3):
            handler.say(302, Location="/")

    server.on("/", slow)

    with pytest.raises(outgoing.TimedOut):
        outgoing.request("GET", f"{here}/", allow_redirects=True, timeout_seconds=1)
