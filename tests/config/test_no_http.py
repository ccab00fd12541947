"""What is no HTTP is refused by the server itself, in the shape of all refusals."""

import json
import socket

import pytest
from gunicorn.workers.gthread import ThreadWorker

from core.webworker import ProblemWorker
from tests.config.test_gate import serving

pytestmark = pytest.mark.django_db(transaction=True)
WRONG = {
    "a control character in a header": (b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: a\x01b\r\n\r\n", 400),
    "a NUL in a header": (b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: a\0b\r\n\r\n", 400),
    "markup in a header's name": (b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n<script>alert(1)</script>: x\r\n\r\n", 400),
    "a folded header": (b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: a\r\n b\r\n\r\n", 400),
    "no request line": (b"nonsense\r\n\r\n", 400),
    "a long line": (b"GET /" + b"x" * 8200 + b" HTTP/1.1\r\n\r\n", 414),
    "many headers": (b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: y\r\n" % number for number in range(200)) + b"\r\n", 431),
    "an unknown coding": (b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: odd\r\n\r\n", 501),
    "an unknown expectation": (b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nExpect: miracles\r\nContent-Length: 0\r\n\r\n", 417),
}


def sent(port, data):
    """Return status, headers and body of whatever comes back until the server hangs up."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        client.sendall(data)
        answer = b"".join(iter(lambda: client.recv(65536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    line, *headers = head.decode().split("\r\n")
    return int(line.split()[1]), dict(each.split(": ", 1) for each in headers), body


@pytest.fixture
def port(tmp_path):
    with serving(tmp_path) as port:
        yield port


def test_each_is_a_problem_and_shows_nothing_as_markup(port):
    for case, (data, expected) in WRONG.items():
        status, headers, body = sent(port, data)
        problem = json.loads(body)

        assert (expected, "application/problem+json", str(len(body))) == (status, headers["Content-Type"], headers["Content-Length"]), case
        assert (expected, "about:blank", True) == (problem["status"], problem["type"], "is not one of HTTP" in problem["detail"]), case
    assert 200 == sent(port, b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")[0]


class Client:
    """A socket that takes what it is given."""

    def __init__(self):
        self.data = b""

    def sendall(self, data):
        self.data += data

    def gettimeout(self):
        return 0.0


@pytest.mark.parametrize(("worker", "kind"), [(ThreadWorker, b"text/html"), (ProblemWorker, b"application/problem+json")])
def test_without_it_they_are_pages_and_a_fault_of_ours_tells_nothing(worker, kind, monkeypatch):
    made = worker.__new__(worker)
    made.log = type("Log", (), {"exception": staticmethod(lambda *_: None), "debug": staticmethod(lambda *_: None)})()
    client = Client()

    made.handle_error(None, client, ("127.0.0.1", 1), RuntimeError("secret"))

    assert (True, True, False) == (b" 500 " in client.data, kind in client.data, b"secret" in client.data)
