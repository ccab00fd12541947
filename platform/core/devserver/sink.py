"""The mail server of `make up`: takes every mail from this machine, keeps it in a folder and sends nothing on.

Run as a program, without Django, because it has to be there as soon as the worker is.
"""

import argparse
import asyncio
import signal
from pathlib import Path

from aiosmtpd.smtp import SMTP, Envelope, Session

from core.devserver import ports
from core.devserver.mails import Mails

MOST_BYTES = 50 * 1024 * 1024
IDENT = "Latchwork's local mail server"


class Keeper:
    """What aiosmtpd asks about each mail."""

    def __init__(self, mails: Mails) -> None:
        self.mails = mails

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: ARG002, N802  the library's
        """Keep a mail and say under which name."""
        content = envelope.original_content or b""
        try:
            name = self.mails.keep(content, sender=envelope.mail_from or "", recipients=envelope.rcpt_tos)
        except OSError as exc:
            return f"452 cannot be kept: {exc.strerror or type(exc).__name__}"
        return f"250 kept as {name}"


async def serve(*, port: int, folder: Path) -> None:
    """Serve until somebody wants the end."""
    loop = asyncio.get_running_loop()
    over = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, over.set)
    keeper = Keeper(Mails(folder))

    def connection() -> SMTP:
        return SMTP(keeper, data_size_limit=MOST_BYTES, enable_SMTPUTF8=True, hostname="localhost", ident=IDENT, loop=loop)

    server = await loop.create_server(connection, host=ports.HOST, port=port)
    try:
        await over.wait()
    finally:
        server.close()


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(description=IDENT)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    options = parser.parse_args()
    asyncio.run(serve(port=options.port, folder=options.folder))


if __name__ == "__main__":
    main()
