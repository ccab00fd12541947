"""One request against real servers: what is sent, what comes back, and that it ends."""

import gzip
import socket
import ssl
import subprocess
import sys
import threading
import time
import tracemalloc

import pytest
import requests

from core import outgoing

SLACK_SECONDS = 8   # far above any timeout below, far below what the other side would take


@pytest.fixture(autouse=True)
def inner_addresses(settings):
    settings.OUTGOING_ALLOW_PRIVATE = True


def threads_of_requests() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "outgoing"]


def assert_ends_in_time(url: str, **arguments) -> None:
    started = time.monotonic()
    with pytest.raises(outgoing.TimedOut):
        outgoing.request(arguments.pop("method", "GET"), url, timeout_seconds=0.5, **arguments)
    assert time.monotonic() - started < SLACK_SECONDS
    for thread in threads_of_requests():
        thread.join(SLACK_SECONDS)
    assert [] == threads_of_requests()


def test_method_headers_and_body_arrive_as_given(server):
    url = server.answers("/x", 201, b"made", Content_Type="text/plain", X_Twice="1")

    got = outgoing.request("PUT", url, headers={"X-Thing": "a b", "user-agent": "mine"}, body=b"\x00\xff")

    seen = server.seen[0]
    assert ("PUT", "/x", b"\x00\xff") == (seen.method, seen.path, seen.body)
    assert ("a b", "mine", "2", "close") == tuple(
        seen.headers[name] for name in ("x-thing", "user-agent", "content-length", "connection")
    )
    assert (201, b"made", False, url) == (got.status, got.body, got.truncated, got.url)
    assert "text/plain" == got.headers["content-type"]


def test_the_platform_names_itself(server):
    outgoing.request("GET", server.answers("/"))

    assert outgoing.user_agent() == server.seen[0].headers["user-agent"]
    assert outgoing.user_agent().startswith("latchwork")


@pytest.mark.parametrize("status", [204, 304, 404, 500])
def test_any_status_is_an_answer(status, server):
    assert status == outgoing.request("GET", server.answers("/", status)).status


def test_a_server_that_drips_its_body_is_cut_at_the_deadline(server):
    def dripping(handler):
        handler.send_response(200)
        handler.end_headers()
        handler.drip(b"x" * 10_000)

    assert_ends_in_time(server.on("/", dripping))
    assert server.left_alone.wait(SLACK_SECONDS)


def test_a_server_that_drips_its_headers_is_cut_at_the_deadline(server):
    assert_ends_in_time(server.on("/", lambda handler: handler.drip(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 10_000)))
    assert server.left_alone.wait(SLACK_SECONDS)


def test_a_server_that_says_continue_for_ever_is_cut_at_the_deadline(server):
    def patient(handler):
        while True:
            handler.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    assert_ends_in_time(server.on("/", patient))
    assert server.left_alone.wait(SLACK_SECONDS)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_server_that_never_answers_is_left_at_the_deadline(scheme):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert_ends_in_time(f"{scheme}://127.0.0.1:{silent.getsockname()[1]}/")


def test_a_server_that_does_not_take_the_body_is_left_at_the_deadline():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        assert_ends_in_time(url, method="POST", body=b"x" * 64 * 1024 * 1024)


def test_a_look_up_that_hangs_does_not_hold_the_caller(monkeypatch):
    released = threading.Event()

    def hanging(*args, **kwargs):
        released.wait(60)
        raise socket.gaierror(socket.EAI_AGAIN, "try again")

    monkeypatch.setattr(socket, "getaddrinfo", hanging)
    started = time.monotonic()
    with pytest.raises(outgoing.TimedOut):
        outgoing.request("GET", "http://slow.test/", timeout_seconds=0.5)
    took = time.monotonic() - started
    released.set()
    for thread in threads_of_requests():
        thread.join(SLACK_SECONDS)

    assert took < SLACK_SECONDS
    assert [] == threads_of_requests()


def test_an_endless_answer_is_cut_to_the_limit_and_the_connection_closed(server):
    def endless(handler):
        handler.send_response(200)
        handler.end_headers()
        while True:
            handler.wfile.write(b"x" * 65536)

    got = outgoing.request("GET", server.on("/", endless), max_bytes=1000)

    assert (b"x" * 1000, True) == (got.body, got.truncated)
    assert server.left_alone.wait(SLACK_SECONDS)


def test_an_answer_of_exactly_the_limit_is_whole(server):
    got = outgoing.request("GET", server.answers("/", body=b"x" * 1000), max_bytes=1000)

    assert (1000, False) == (len(got.body), got.truncated)


def test_a_chunked_answer_is_read(server):
    def chunked(handler):
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        handler.wfile.write(b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n")

    assert b"hello world" == outgoing.request("GET", server.on("/", chunked)).body


def test_a_packed_answer_is_unpacked(server):
    got = outgoing.request("GET", server.answers("/", body=gzip.compress(b"hello"), Content_Encoding="gzip"))

    assert b"hello" == got.body


@pytest.mark.parametrize("layers", [1, 2])
def test_a_packed_bomb_is_never_unpacked_beyond_the_limit(layers, server):
    bomb = zeros = bytes(64 * 1024 * 1024)
    for _ in range(layers):
        bomb = gzip.compress(bomb)
    size = len(zeros)
    del zeros
    url = server.answers("/", body=bomb, Content_Encoding=", ".join(["gzip"] * layers))
    tracemalloc.start()
    try:
        got = outgoing.request("GET", url, max_bytes=10_000)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert (bytes(10_000), True) == (got.body, got.truncated)
    assert peak < size / 16


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nplain",
        b"no HTTP at all\r\n\r\n",
        b"",
        b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: 1\r\n" % number for number in range(1000)) + b"\r\n",
    ],
    ids=["short", "not gzip", "not http", "nothing", "a thousand headers"],
)
def test_a_broken_answer_is_unreachable_and_says_why(answer, server):
    with pytest.raises(outgoing.Unreachable) as unreachable:
        outgoing.request("GET", server.on("/", lambda handler: handler.wfile.write(answer)))

    assert len(unreachable.value.reason) > 10


def test_a_refused_connection_is_unreachable():
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]

    with pytest.raises(outgoing.Unreachable, match="Connection refused"):
        outgoing.request("GET", f"http://127.0.0.1:{port}/")


def test_a_certificate_that_nobody_trusts_is_unreachable(tmp_path):
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )   # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def shake() -> None:
            connected, _ = listening.accept()
            try:
                context.wrap_socket(connected, server_side=True).close()
            except OSError:
                connected.close()

        thread = threading.Thread(target=shake, daemon=True)
        thread.start()
        with pytest.raises(outgoing.Unreachable, match="certificate verify failed"):
            outgoing.request("GET", f"https://localhost:{listening.getsockname()[1]}/")
        thread.join(SLACK_SECONDS)


@pytest.mark.parametrize(
    ("headers", "says"),
    [
        ({"X-A": "1\r\nX-B: 2"}, r"'X-A' holds '\\r'"),
        ({"X-A": "1\nX-B: 2"}, r"'X-A' holds '\\n'"),
        ({"X-A": "\x00"}, "'X-A' holds"),
        ({"X-A\r\nX-B": "1"}, "is not a name"),
        ({"X A": "1"}, "is not a name"),
        ({"": "1"}, "is not a name"),
        ({"X-A": "ü"}, "beyond ASCII"),
        ({"X-A": " 1"}, "blanks at an end"),
        ({"Host": "inner"}, "is set by the platform"),
        ({"content-length": "5"}, "is set by the platform"),
        ({"Transfer-Encoding": "chunked"}, "is set by the platform"),
        ({"Connection": "keep-alive"}, "is set by the platform"),
        ({"X-A": "1", "x-a": "2"}, "given twice"),
    ],
)
def test_a_header_that_would_change_the_request_is_not_sent(headers, says, server):
    with pytest.raises(outgoing.BadRequest, match=says) as bad:
        outgoing.request("GET", server.answers("/"), headers=headers)

    assert ("headers", []) == (bad.value.part, server.seen)


@pytest.mark.parametrize("method", ["GET / HTTP/1.1\r\nHost: x", "", "G T"])
def test_a_method_that_would_change_the_request_is_not_sent(method, server):
    with pytest.raises(outgoing.BadRequest, match="is not a method"):
        outgoing.request(method, server.answers("/"))

    assert [] == server.seen


def test_proxies_and_passwords_of_the_environment_take_no_part(server, other_server, monkeypatch, tmp_path):
    url = server.answers("/", body=b"direct")
    other_server.on(url, lambda handler: handler.say(200, b"by the proxy"))
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, other_server.url)

    assert b"by the proxy" == requests.get(url, timeout=10).content   # the trap works

    assert b"direct" == outgoing.request("GET", url).body
    assert "authorization" not in server.seen[0].headers
    assert 1 == len(other_server.seen)


@pytest.mark.parametrize(
    "line",
    ["import requests", "import httpx", "import urllib3", "import aiohttp", "import requests_hardened",
     "from urllib.request import urlopen", "from urllib import request", "from http import client", "import http.client"],
)   # fmt: skip
def test_other_clients_are_forbidden_by_lint(line):
    def ruff(filename: str) -> str:
        command = [sys.executable, "-m", "ruff", "check", "--select", "TID251", "--stdin-filename", filename, "-"]
        return subprocess.run(command, input=f"{line}\n", text=True, capture_output=True, check=False).stdout

    assert "all outgoing HTTP goes through core.outgoing" in ruff("apps/jobs/types/http.py")
    assert "All checks passed!" in ruff("platform/core/outgoing/client.py")


def test_whoever_typed_the_address_may_allow_an_inner_one(server, settings):
    settings.OUTGOING_ALLOW_PRIVATE = False
    url = server.answers("/")

    with pytest.raises(outgoing.Refused):
        outgoing.request("GET", url)
    assert 200 == outgoing.request("GET", url, allow_private=True).status
