"""Django's SMTP backend, which ends in time and tells which recipients were refused."""

import contextlib
import smtplib
import socket
import threading
from collections.abc import Sequence
from functools import partial
from typing import Any

from django.conf import settings
from django.core.mail import EmailMessage
from django.core.mail.backends.smtp import EmailBackend
from django.core.mail.message import sanitize_address

from core import outgoing
from core.mail.message import Message, Refusal
from core.outgoing.connection import Line

WHOLE_SECONDS = 240.0     # for one mail from the first look to the last answer; socket timeouts begin anew with each byte
GOODBYE_SECONDS = 5.0
WORDS = 300               # of what a server says


class TimeOver(OSError):
    """The server answered, byte for byte, until the time for the whole mail was over."""


def words(said: object) -> str:
    """Return a server's answer as one line that may be shown."""
    text = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())[:WORDS]


class _Held(smtplib.SMTP):
    """One connection: quick to be made or given up, patient for answers, and cut when the time is over."""

    _line: Line
    _connect_seconds: float

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        connected: socket.socket = super()._get_socket(host, port, self._connect_seconds)   # type: ignore[misc]  # not in the stubs
        connected.settimeout(timeout)
        try:
            self._line.hold(connected)
        except BaseException:
            connected.close()
            raise
        return connected


class _Plain(_Held):
    def __init__(self, *args: Any, line: Line, connect_seconds: float, **kwargs: Any) -> None:
        self._line, self._connect_seconds = line, connect_seconds   # first: the library connects while it is made
        super().__init__(*args, **kwargs)


class _Private(smtplib.SMTP_SSL, _Held):
    """The same, with TLS from the first byte: the library wraps what was connected."""

    def __init__(self, *args: Any, line: Line, connect_seconds: float, **kwargs: Any) -> None:
        self._line, self._connect_seconds = line, connect_seconds
        super().__init__(*args, **kwargs)


class SmtpBackend(EmailBackend):
    """Configured by Django's own settings, and by EMAIL_CONNECT_TIMEOUT."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._line = Line("smtp://", seconds=WHOLE_SECONDS, allow_private=True)   # of nothing yet

    @property
    def connection_class(self) -> Any:   # Django's stubs name two classes, and call what is returned
        kind = _Private if self.use_ssl else _Plain
        return partial(kind, line=self._line, connect_seconds=settings.EMAIL_CONNECT_TIMEOUT)

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        """Send over one connection, which is cut when the time is over."""
        seconds = sum(_seconds(message) for message in email_messages)
        line = self._line = Line(f"smtp://{self.host}:{self.port}", seconds=seconds, allow_private=True)
        over = threading.Event()

        def end() -> None:
            over.set()
            line.cut()

        timer = threading.Timer(seconds, end)
        timer.daemon = True
        timer.start()
        try:
            return super().send_messages(email_messages)
        except (smtplib.SMTPServerDisconnected, OSError, outgoing.TimedOut) as exc:   # the last: over before it was connected
            if over.is_set():
                raise TimeOver(f"gave no whole answer within {seconds:.3g} seconds") from exc
            raise
        finally:
            timer.cancel()
            if self._partial_connection is not None:   # type: ignore[has-type]  # Django's, and it leaves it open
                self._partial_connection.close()   # type: ignore[has-type]  # as above
                self._partial_connection = None
            line.cut()

    def _send(self, email_message: EmailMessage) -> bool:
        recipients = email_message.recipients()
        if not recipients or self.connection is None:
            return False
        encoding = email_message.encoding or settings.DEFAULT_CHARSET
        refused = self.connection.sendmail(
            sanitize_address(email_message.from_email, encoding),
            [sanitize_address(address, encoding) for address in recipients],
            email_message.wire if isinstance(email_message, Message) else email_message.message().as_bytes(linesep="\r\n"),
        )
        if isinstance(email_message, Message):
            email_message.refused = refusals(refused)
        return True

    def _close_connection(self, connection: smtplib.SMTP) -> None:
        """Say goodbye and go: what has been taken is not lost by a server that does not answer to that."""
        if connection.sock is not None:
            connection.sock.settimeout(GOODBYE_SECONDS)
        with contextlib.suppress(smtplib.SMTPException, OSError):
            connection.quit()
        connection.close()


def _seconds(message: EmailMessage) -> float:
    left = message.seconds if isinstance(message, Message) else None
    return WHOLE_SECONDS if left is None else min(WHOLE_SECONDS, max(left, 0.1))


def refusals(refused: dict[str, tuple[int, bytes]]) -> list[Refusal]:
    """Return what smtplib tells about recipients that were not taken."""
    return [Refusal(address, code, words(said)) for address, (code, said) in refused.items()]
