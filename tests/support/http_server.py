"""The outside, on this machine: servers that answer by script, and an internet of names that lead to them."""

import http.server
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest


@dataclass(frozen=True)
class Seen:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


Answer = Callable[["Handler"], None]


class Handler(http.server.BaseHTTPRequestHandler):
    server: "_Server"
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.seen.append(Seen(self.command, self.path, headers, body))
        self.server.answers[self.path.partition("?")[0]](self)
        self.close_connection = True

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _answer   # noqa: N815  its names

    def say(self, status: int, body: bytes = b"", **headers: str) -> None:
        """Send a whole answer; `Content_Type=` becomes Content-Type."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def drip(self, content: bytes) -> None:
        """Send byte by byte, with a pause before each, until all is sent or the client or the server is gone."""
        for byte in content:
            if self.server.closing.wait(0.05):
                return
            self.wfile.write(bytes([byte]))

    def log_message(self, *args: Any) -> None:
        pass


class _Server(http.server.ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen: list[Seen] = []
        self.answers: dict[str, Answer] = {}
        self.closing = threading.Event()
        self.left_alone = threading.Event()   # a client hung up before it had the whole answer

    def handle_error(self, request: Any, client_address: Any) -> None:
        self.left_alone.set()


class Server:
    """A real HTTP server: give it answers by path, ask it what it has seen."""

    def __init__(self) -> None:
        self._server = _Server()
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        self.port: int = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.left_alone = self._server.left_alone

    @property
    def seen(self) -> list[Seen]:
        return list(self._server.seen)

    def on(self, path: str, answer: Answer) -> str:
        """Answer a path by a function of the handler; return the path's URL."""
        self._server.answers[path] = answer
        return self.url + path

    def answers(self, path: str, status: int = 200, body: bytes = b"", **headers: str) -> str:
        """Answer a path always alike; return the path's URL."""
        return self.on(path, lambda handler: handler.say(status, body, **headers))

    def stop(self) -> None:
        self._server.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Internet:
    """Public addresses that lead to servers of this machine, at the level of sockets: everything above is real."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.names: dict[str, list[str | list[str]]] = {}   # each look-up takes the next address, or list of them; the last one stays
        self.lookups: list[str] = []
        self.hosts: dict[str, Server] = {}
        self.connections: list[tuple[str, int]] = []
        self._peers: dict[socket.socket, tuple[str, int]] = {}
        real_lookup, real_connect, real_peer = socket.getaddrinfo, socket.socket.connect, socket.socket.getpeername

        def lookup(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
            answers = self.names.get(host)
            if answers is None:
                return real_lookup(host, port, *args, **kwargs)
            self.lookups.append(host)
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
            several = answer if isinstance(answer, list) else [answer]
            return [each for one in several for each in real_lookup(one, port, *args, **kwargs)]

        def connect(sock: socket.socket, address: Any) -> None:
            self.connections.append((address[0], address[1]))
            if address[0] in self.hosts:
                self._peers[sock] = address
                return real_connect(sock, ("127.0.0.1", self.hosts[address[0]].port))
            if address[0].startswith("127."):
                return real_connect(sock, address)
            raise ConnectionRefusedError(111, "Connection refused")

        def peer(sock: socket.socket) -> Any:
            return self._peers.get(sock) or real_peer(sock)

        monkeypatch.setattr(socket, "getaddrinfo", lookup)
        monkeypatch.setattr(socket.socket, "connect", connect)
        monkeypatch.setattr(socket.socket, "getpeername", peer, raising=False)

    def place(self, name: str, address: str, server: Server) -> str:
        """Give a server a public name and address; return its URL there."""
        self.names[name] = [address]
        self.hosts[address] = server
        return f"http://{name}"


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.stop()


@pytest.fixture
def other_server() -> Iterator[Server]:
    made = Server()
    yield made
    made.stop()


@pytest.fixture
def internet(monkeypatch: pytest.MonkeyPatch) -> Internet:
    return Internet(monkeypatch)
