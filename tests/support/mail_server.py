"""A real SMTP server (aiosmtpd) that answers by script, and one of bare sockets for what no proper server does."""

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any, Self, cast

import pytest
from aiosmtpd.smtp import SMTP, AuthResult

FULL = 4 * 1024 * 1024   # what it takes unless a test says otherwise


@dataclass(frozen=True)
class Received:
    """One mail that the server took."""

    sender: str
    recipients: list[str]
    content: bytes

    @property
    def message(self) -> EmailMessage:
        """Read it with the library's newer reader, which the platform does not write with."""
        return cast("EmailMessage", message_from_bytes(self.content, policy=policy.default))


@dataclass
class Script:
    """What the server answers instead of taking everything: whole replies, such as `450 later`."""

    mail: str = ""
    data: str = ""
    recipients: dict[str, str] = field(default_factory=dict)
    stops_at: str = ""
    """MAIL, RCPT or DATA: the connection is closed there without a word; TAKEN: when the mail was taken, before that is
    said; HELD: it was taken, and nothing is said for as long as the other side waits."""
    times: int = 1_000_000
    """How many mails the script holds for; those after it are taken."""


class MailServer:
    """The server, in a thread of its own."""

    def __init__(self, **options: Any) -> None:
        self.mails: list[Received] = []
        self.tried = 0
        self.script = Script()
        self.logins: list[tuple[bytes, bytes]] = []
        self.over_tls: list[bool] = []
        self._options = {"data_size_limit": FULL, "enable_SMTPUTF8": True, "hostname": "mail.test", **options}
        self._wraps = self._options.pop("implicit_tls", None)
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    def answers(self, **script: Any) -> None:
        """Give the script."""
        self.script = Script(**script)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(
            self._loop.create_server(
                lambda: SMTP(self, loop=self._loop, **self._options), host="127.0.0.1", port=0, ssl=self._wraps,
            ),
        )
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        self._rounds()   # a connection that was accepted just now gets its owner, who will close it
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._rounds()   # what was cancelled closes its socket

    def _rounds(self) -> None:
        for _ in range(10):
            self._loop.run_until_complete(asyncio.sleep(0))

    # What aiosmtpd asks.

    async def handle_MAIL(self, server: SMTP, session: Any, envelope: Any, address: str, options: list[str]) -> str:  # noqa: N802
        self.tried += 1
        if self.tried > self.script.times:
            self.script = Script()
        if self._stops(server, "MAIL") or self.script.mail:
            return self.script.mail or "250 gone"
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(self, server: SMTP, session: Any, envelope: Any, address: str, options: list[str]) -> str:  # noqa: N802
        reply = self.script.recipients.get(address) or self.script.recipients.get("*", "")
        if self._stops(server, "RCPT") or reply:
            return reply or "250 gone"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Any, envelope: Any) -> str:  # noqa: N802
        if self._stops(server, "DATA"):
            return "250 gone"
        if self.script.data:
            return self.script.data
        self.over_tls.append(session.ssl is not None or self._wraps is not None)
        self.mails.append(Received(envelope.mail_from, list(envelope.rcpt_tos), envelope.original_content))
        if self.script.stops_at == "HELD":
            await asyncio.Event().wait()
        self._stops(server, "TAKEN")
        return "250 taken"

    def _stops(self, server: SMTP, at: str) -> bool:
        if self.script.stops_at == at:
            cast("asyncio.Transport", server.transport).abort()
            return True
        return False

    def authenticate(self, server: SMTP, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        """Let in whoever says `right`."""
        self.logins.append((data.login, data.password))
        return AuthResult(success=data.password == b"right", handled=False)


class BareServer:
    """A socket that behaves as it is told with each connection."""

    def __init__(self, behave: Callable[[socket.socket, threading.Event], None]) -> None:
        self._behave = behave
        self._over = threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self.connections = 0
        self._threads = [threading.Thread(target=self._serve, daemon=True)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for thread in self._threads:
            thread.join(10)

    def _serve(self) -> None:
        while not self._over.is_set():
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self.connections += 1
            thread = threading.Thread(target=self._one, args=[connection], daemon=True)
            self._threads.append(thread)
            thread.start()

    def _one(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            self._behave(connection, self._over)


def closes(connection: socket.socket, over: threading.Event) -> None:
    """Close at once."""


def silent(connection: socket.socket, over: threading.Event) -> None:
    """Say nothing."""
    over.wait(30)


def drips(connection: socket.socket, over: threading.Event) -> None:
    """Send a greeting that never ends, a byte at a time."""
    connection.sendall(b"220-")
    while not over.wait(0.02):
        connection.sendall(b"x")


def says(greeting: bytes) -> Callable[[socket.socket, threading.Event], None]:
    """Greet so, and wait for the other side to go."""

    def behave(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(greeting)
        while connection.recv(1000):
            pass

    return behave


def takes_and_hangs(connection: socket.socket, over: threading.Event) -> None:
    """Take a whole mail, then never answer the goodbye."""
    connection.sendall(b"220 hello\r\n")
    data = b""
    replies = {b"EHLO": b"250 hello\r\n", b"MAIL": b"250 ok\r\n", b"RCPT": b"250 ok\r\n", b"DATA": b"354 go on\r\n"}
    while chunk := connection.recv(100_000):
        data += chunk
        if data.endswith(b"\r\n.\r\n"):
            connection.sendall(b"250 taken\r\n")
            data = b""
        elif (command := data[:4].upper()) in replies and data.endswith(b"\r\n"):
            connection.sendall(replies[command])
            data = b""
        elif command == b"QUIT":
            over.wait(30)
            return


@pytest.fixture
def mail_server(settings: Any) -> Iterator[MailServer]:
    """A server that the settings of this process name."""
    with MailServer() as server:
        sends_to(settings, server.port)
        yield server


def sends_to(settings: Any, port: int) -> None:
    """Have mail go to a port of this machine, through our backend and not the one of Django's tests."""
    settings.EMAIL_BACKEND = "core.mail.backend.SmtpBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", port
    settings.EMAIL_TIMEOUT = settings.EMAIL_CONNECT_TIMEOUT = 5


def server_context(key: Any, certificate: Any) -> ssl.SSLContext:
    """Return what a server needs for TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context
