"""Hand a mail over: the one place where a library's errors become ours."""

import smtplib
from dataclasses import dataclass

from django.conf import settings
from django.core.mail import get_connection

from core.errors import PlatformError
from core.mail.backend import TimeOver, refusals, words
from core.mail.message import Message, Refusal


class MailError(PlatformError):
    """The root: the mail was not handed over, or nobody knows."""


class Deferred(MailError):
    """The server said that it may work later (4xx)."""


class Unreachable(MailError):
    """No connection, or one that ended before the answer: after the last byte, the server may have taken the mail."""


class TimedOut(MailError):
    """The server took longer than it may; it too may have taken the mail."""


class Rejected(MailError):
    """The server said that it will not take this (5xx), or cannot do what the settings ask of it."""


class NotConfigured(MailError):
    """There is no server to hand mail over to."""

    def __init__(self) -> None:
        super().__init__("EMAIL_URL is not set, so there is no server to send mail through: give smtp:// or smtps://")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """Which recipients the server took, and which it did not."""

    accepted: list[str]
    refused: list[Refusal]


def send(message: Message, *, seconds: float | None = None) -> Sent:
    """Hand a mail over, and return who gets it; at least one does. `seconds` is how long the whole may take.

    Raise `Deferred`, `Unreachable` or `TimedOut` where another attempt makes sense, `Rejected` or `NotConfigured` where
    it does not.
    """
    message.seconds = seconds
    connection = get_connection()
    if getattr(connection, "host", "set") == "":
        raise NotConfigured
    try:
        connection.send_messages([message])
    except smtplib.SMTPRecipientsRefused as exc:
        refused = refusals(exc.recipients)
        kind = Deferred if any(each.is_temporary for each in refused) else Rejected
        raise kind(f"no recipient was taken: {listed(refused)}") from exc
    except smtplib.SMTPResponseException as exc:
        kind = Rejected if 500 <= exc.smtp_code <= 599 else Deferred
        raise kind(f"the server answered {exc.smtp_code} {words(exc.smtp_error)} {_to(exc)}") from exc
    except smtplib.SMTPServerDisconnected as exc:
        if isinstance(exc.__context__, TimeoutError) or "timed out" in str(exc):
            raise _timed_out(exc) from exc
        raise Unreachable(f"{_server()} closed the connection: {words(exc)}") from exc
    except smtplib.SMTPException as exc:   # it cannot do STARTTLS, or no way to log in
        raise Rejected(f"{_server()} cannot do what EMAIL_URL asks for: {words(exc)}") from exc
    except TimeOver as exc:
        raise TimedOut(f"{_server()} {exc}") from exc
    except TimeoutError as exc:
        raise _timed_out(exc) from exc
    except OSError as exc:
        raise Unreachable(f"{_server()} is unreachable: {words(exc.strerror or exc)}") from exc
    refused_addresses = {each.address for each in message.refused}
    accepted = [address for address in message.recipients() if address not in refused_addresses]
    return Sent(accepted=accepted, refused=message.refused)


def listed(refused: list[Refusal]) -> str:
    """Return refusals as one sentence, the first few of them with the server's words."""
    shown = "; ".join(f"{each.address}: {each.code} {each.words}" for each in refused[:5])
    return shown + (f"; and {len(refused) - 5} more" if len(refused) > 5 else "")


def _to(exc: smtplib.SMTPResponseException) -> str:
    """Say to what the server answered so."""
    match exc:
        case smtplib.SMTPSenderRefused():
            return f"to the sender {words(exc.sender)}"
        case smtplib.SMTPDataError():
            return "to the mail"
        case smtplib.SMTPAuthenticationError():
            return "to the log-in of EMAIL_URL"
        case _:
            return "to our connection"


def _timed_out(exc: Exception) -> TimedOut:
    return TimedOut(f"{_server()} did not answer in time: {words(exc)}")


def _server() -> str:
    return f"{settings.EMAIL_HOST}:{settings.EMAIL_PORT}"
