"""What counts as inside, in every form that a resolver takes."""

import ipaddress
import socket

import pytest
import requests

from core import outgoing
from core.outgoing import addresses
from core.outgoing.connection import Adapter

PUBLIC = "93.184.215.14"
INSIDE = [
    "127.0.0.1", "127.1", "2130706433", "017700000001", "0x7f000001", "0x7f.1", "127.0.0.1.", "127.255.255.254",
    "0.0.0.0", "0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "2852039166", "100.64.0.1",   # noqa: S104  refused, not bound
    "100.100.100.200", "168.63.129.16", "192.0.0.192", "192.0.2.1", "192.88.99.1", "198.18.0.1", "224.0.0.1",
    "240.0.0.1", "255.255.255.255",
    "[::]", "[::1]", "[::127.0.0.1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::ffff:169.254.169.254]",
    "[64:ff9b::7f00:1]", "[64:ff9b:1::7f00:1]", "[2002:7f00:1::]", "[2001:0:7f00:1::]", "[2001:db8::1]", "[fe80::1]",
    "[fec0::1]", "[fc00::1]", "[fd00:ec2::254]", "[ff02::1]", "[100::1]", "[5f00::1]",
]   # fmt: skip


@pytest.fixture(autouse=True)
def no_inner_addresses(settings):
    settings.OUTGOING_ALLOW_PRIVATE = False


@pytest.mark.parametrize("host", INSIDE)
def test_an_inner_address_is_refused_before_anything_is_connected(host, internet):
    with pytest.raises(outgoing.Refused) as refused:
        outgoing.request("GET", f"http://{host}:8080/", timeout_seconds=10)

    assert [] == internet.connections
    assert "OUTGOING_ALLOW_PRIVATE" in str(refused.value)


@pytest.mark.parametrize("host", INSIDE)
def test_an_inner_address_is_refused_already_where_it_is_given(host):
    with pytest.raises(outgoing.Refused):
        outgoing.check(f"http://{host}/")


@pytest.mark.parametrize("host", [PUBLIC, "8.8.8.8", "[2606:4700:4700::1111]", "[::ffff:8.8.8.8]", "example.com"])
def test_a_public_address_is_not_refused(host):
    assert f"https://{host}/x" == outgoing.check(f"https://{host}/x")


@pytest.mark.parametrize("name", ["localhost", "LOCALHOST.", "db.localhost"])
def test_a_name_of_this_machine_is_refused_where_it_is_given(name):
    with pytest.raises(outgoing.Refused):
        outgoing.check(f"http://{name}/")


@pytest.mark.parametrize(
    "answer",
    ["127.0.0.1", "10.1.2.3", "169.254.169.254", "::1", "::ffff:10.0.0.1", "::127.0.0.1", "fec0::1", "168.63.129.16"],
)
def test_a_name_that_resolves_to_an_inner_address_is_refused(answer, internet):
    internet.names["inner.test"] = [answer]

    with pytest.raises(outgoing.Refused):
        outgoing.request("GET", "http://inner.test/", timeout_seconds=10)

    assert [] == internet.connections


@pytest.mark.parametrize("address", ["::127.0.0.1", "fec0::1", "168.63.129.16"])
def test_what_the_library_lets_pass_is_refused_by_our_own_list(address):
    from requests_hardened.ip_filter import get_ip_address

    passed, _ = get_ip_address(address, 80, allow_loopback=False)

    assert ipaddress.ip_address(address) == passed
    assert addresses.reason_against(passed) is not None


def test_a_name_that_changes_after_the_check_reaches_only_what_was_checked(server, internet):
    server.answers("/", body=b"secret")
    internet.names["changing.test"] = [PUBLIC, "127.0.0.1"]

    with pytest.raises(outgoing.Unreachable):
        outgoing.request("GET", f"http://changing.test:{server.port}/", timeout_seconds=10)

    assert [(PUBLIC, server.port)] == internet.connections
    assert [] == server.seen


def test_the_same_name_leads_a_client_that_checks_first_and_then_connects_to_the_inside(server, internet):
    server.answers("/", body=b"secret")
    internet.names["changing.test"] = [PUBLIC, "127.0.0.1"]
    checked = socket.getaddrinfo("changing.test", server.port, type=socket.SOCK_STREAM)[0][4][0]

    got = requests.get(f"http://changing.test:{server.port}/", timeout=10)

    assert addresses.reason_against(ipaddress.ip_address(checked)) is None
    assert b"secret" == got.content


def test_a_connection_that_ends_up_inside_anyhow_is_closed_before_a_byte_is_sent(server, internet, monkeypatch):
    unpinned = requests.adapters.HTTPAdapter.build_connection_pool_key_attributes
    monkeypatch.setattr(Adapter, "build_connection_pool_key_attributes", unpinned)
    internet.names["inner.test"] = ["127.0.0.1"]

    with pytest.raises(outgoing.Refused):
        outgoing.request("GET", f"http://inner.test:{server.port}/", timeout_seconds=10)

    assert [("127.0.0.1", server.port)] == internet.connections
    assert [] == server.seen


def test_the_pinned_server_is_asked_by_its_name(server, internet):
    server.answers("/x", body=b"hello")
    there = internet.place("public.test", PUBLIC, server)

    got = outgoing.request("GET", f"{there}/x?q=1", timeout_seconds=10)

    assert (200, b"hello") == (got.status, got.body)
    assert "public.test" == server.seen[0].headers["host"]
    assert "/x?q=1" == server.seen[0].path


def test_inner_addresses_are_reached_when_the_operator_allows_them(server, settings):
    settings.OUTGOING_ALLOW_PRIVATE = True
    url = server.answers("/", body=b"inner")

    assert b"inner" == outgoing.request("GET", outgoing.check(url), timeout_seconds=10).body


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("ftp://example.com/", "must begin with http"),
        ("file:///etc/passwd", "must begin with http"),
        ("gopher://example.com/", "must begin with http"),
        ("//example.com/", "must begin with http"),
        ("http:///path", "name a host"),
        ("http://user:secret@example.com/", "must not hold a user"),
        ("http://user@example.com/", "must not hold a user"),
        ("http://@example.com/", "must not hold a user"),
        ("http://example.com:0/", "port 0"),
        ("http://example.com:99999/", "cannot be read"),
        ("http://example.com:x/", "cannot be read"),
        ("http://[::1/", "cannot be read"),
        ("http://example.com\\@127.0.0.1/", "holds"),
        ("http://example.com/ x", "holds ' '"),
        ("http://example.com/\r\nHost: inner", r"holds '\\r'"),
        ("http://example.com/\x00", "holds"),
        (f"http://example.com/{'x' * 9000}", "longer than"),
    ],
)
def test_a_url_that_parsers_may_read_differently_is_not_sent(url, says, internet):
    with pytest.raises(outgoing.BadRequest, match=says) as bad:
        outgoing.request("GET", url)

    assert ("url", []) == (bad.value.part, internet.connections)
    assert "secret" not in str(bad.value)


def test_errors_do_not_show_what_stands_in_the_query(internet):
    internet.names["public.test"] = [PUBLIC]

    with pytest.raises(outgoing.Unreachable) as unreachable:
        outgoing.request("GET", "http://public.test/hook?token=secret", timeout_seconds=10)

    assert "http://public.test/hook is unreachable: Connection refused" == str(unreachable.value)
