"""A name with several addresses: all are checked, each is tried, and nothing is looked up a second time."""

import pytest
import requests

from core import outgoing
from core.outgoing import addresses
from core.outgoing.connection import Adapter, _Held

DEAD, ALIVE, SIXTH = "93.184.215.14", "93.184.215.15", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"


def ask(url, **options):
    return outgoing.request("GET", url, **{"timeout_seconds": 10, **options})


def test_the_next_address_is_tried_when_one_does_not_connect(server, internet):
    server.answers("/", body=b"hello")
    internet.names["public.test"] = [[SIXTH, DEAD, ALIVE]]
    internet.hosts[ALIVE] = server

    assert b"hello" == ask("http://public.test/").body
    assert [(SIXTH, 80), (DEAD, 80), (ALIVE, 80)] == internet.connections
    assert (["public.test"], "public.test") == (internet.lookups, server.seen[0].headers["host"])


def test_the_first_that_connects_is_the_only_one_that_is_asked(server, other_server, internet):
    server.answers("/"), other_server.answers("/")
    internet.names["public.test"] = [[ALIVE, DEAD]]
    internet.hosts.update({ALIVE: server, DEAD: other_server})

    assert 200 == ask("http://public.test/").status
    assert ([(ALIVE, 80)], []) == (internet.connections, other_server.seen)


def test_without_the_others_it_would_be_unreachable(server, internet, monkeypatch):
    server.answers("/")
    internet.names["public.test"] = [[DEAD, ALIVE]]
    internet.hosts[ALIVE] = server
    monkeypatch.setattr(addresses, "MOST_ADDRESSES", 1)

    with pytest.raises(outgoing.Unreachable, match="Connection refused"):
        ask("http://public.test/")


@pytest.mark.parametrize("inner", ["10.0.0.7", "127.0.0.1", "169.254.169.254", "::1", "::ffff:10.0.0.7", "fd00::1"])
@pytest.mark.parametrize("first", [True, False])
def test_one_inner_address_among_others_refuses_the_name_before_any_connection(inner, first, server, internet):
    server.answers("/")
    internet.names["mixed.test"] = [[inner, ALIVE] if first else [ALIVE, inner]]
    internet.hosts[ALIVE] = server

    with pytest.raises(outgoing.Refused):
        ask("http://mixed.test/")

    assert ([], []) == (internet.connections, server.seen)


def test_all_dead_is_unreachable_and_tries_each_once(internet):
    internet.names["public.test"] = [[DEAD, ALIVE, DEAD]]

    with pytest.raises(outgoing.Unreachable, match="Connection refused"):
        ask("http://public.test/")

    assert [(DEAD, 80), (ALIVE, 80)] == internet.connections


def test_no_more_than_a_few_are_tried(internet):
    internet.names["public.test"] = [[f"93.184.215.{number}" for number in range(1, 30)]]

    with pytest.raises(outgoing.Unreachable):
        ask("http://public.test/")

    assert addresses.MOST_ADDRESSES == len(internet.connections)


def test_a_silent_address_leaves_time_for_the_others(internet, monkeypatch):
    given = []
    monkeypatch.setattr("urllib3.connection.HTTPConnection._new_conn", lambda self: given.append(self.timeout) or (_ for _ in ()).throw(
        requests.packages.urllib3.exceptions.ConnectTimeoutError("silent")))
    internet.names["public.test"] = [[DEAD, ALIVE]]

    with pytest.raises(outgoing.TimedOut):
        ask("http://public.test/", timeout_seconds=6)

    assert 2 == len(given)
    assert 2.5 < given[0] == given[1] <= 3


def test_a_server_is_known_by_its_name_under_tls():
    line = outgoing.connection.Line("https://public.test/", seconds=1, allow_private=False)
    adapter = Adapter("https", line=line)
    prepared = requests.Request("GET", f"https://{DEAD}:8443/").prepare()

    host, tls = adapter.build_connection_pool_key_attributes(prepared, verify=True)

    assert (DEAD, DEAD, DEAD) == (host["host"], tls["assert_hostname"], tls["server_hostname"])
    assert f"{DEAD}:8443" == prepared.headers["Host"]
    assert issubclass(adapter._kind, _Held)
