"""Gunicorn's threaded worker, whose own refusals look as all others do: what is no HTTP never reaches the application."""

import contextlib
import json
import re
from typing import Any

from gunicorn import util
from gunicorn.workers.gthread import ThreadWorker

STATUS_LINE = re.compile(rb"HTTP/1\.1 (\d{3}) ([^\r\n]*)")
LONGEST = 300


class ProblemWorker(ThreadWorker):   # type: ignore[misc]  # gunicorn ships no types
    """Name it as `worker_class`. Without it such a refusal is a page in HTML, with the same status."""

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """Answer a request that could not be read, or whose answer could not be sent."""
        written = _Written(client)
        super().handle_error(req, written, addr, exc)
        found = STATUS_LINE.match(written.data)
        if found is None:
            return
        status = int(found[1])
        problem = {"type": "about:blank", "title": found[2].decode("ascii", "replace"), "status": status}
        if status < 500 or status == 501:   # the others are ours to know
            problem["detail"] = f"the request is not one of HTTP that is read here: {str(exc)[:LONGEST] or type(exc).__name__}"
        body = json.dumps(problem).encode("ascii")
        head = (
            b"HTTP/1.1 %d %s\r\nConnection: close\r\nContent-Type: application/problem+json\r\nContent-Length: %d\r\n"
            b"X-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\n\r\n"
        ) % (status, found[2], len(body))
        with contextlib.suppress(OSError):   # the client is gone, or reads nothing
            util.write_nonblock(client, head + body)


class _Written:
    """The client's socket for whoever asks about it; what is written stays here."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.data = b""

    def sendall(self, data: bytes) -> None:
        self.data += data

    def gettimeout(self) -> float:
        """Say that there is nothing to wait for, so that nobody makes the real one wait otherwise."""
        return 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)
