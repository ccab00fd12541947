"""A running stack as its users see it: over HTTP, with a token. The operator typed the address, so inner ones are fine."""

import ipaddress
import json
import uuid
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

from apps.jobs.management.output import NotUnderstood, Refused, printable
from core import outgoing
from core.devserver import ports

SECONDS = 15.0
MOST_BYTES = 32 * 1024 * 1024   # a page of 200 jobs with the largest results is cut; such jobs are not made here
SHOWN = 300


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; `content` is None where it is not JSON."""

    status: int
    headers: Mapping[str, str]
    content: Any
    text: str = field(repr=False)
    seconds: float
    body: bytes = field(repr=False)

    @property
    def complaint(self) -> str:
        """Return what a refusal says, on one line."""
        problem = self.content if isinstance(self.content, dict) else {}
        said = "; ".join(f"{error.get('pointer', '')}: {error.get('detail', '')}" for error in problem.get("errors") or [])
        return printable(f"{self.status} {said or problem.get('detail') or self.text[:SHOWN]}")

    @property
    def retry_after_seconds(self) -> float:
        """Return how long a 429 asks to wait."""
        given = self.headers.get("retry-after", "")
        return float(given) if given.isdecimal() else 1.0


@dataclass(frozen=True, slots=True)
class Stack:
    """Where it is, and the token for it."""

    url: str
    token: str = field(repr=False)

    def get(self, path: str, *, token: str | None = None) -> Answer:
        """Ask, with another token if one is given (empty: with none); `path` may be a whole address, as `next` is."""
        token = self.token if token is None else token
        return self._send("GET", path, None, {"Authorization": f"Bearer {token}"} if token else {})

    def post(self, path: str, body: object, *, key: str | None = None) -> Answer:
        """Send JSON; `key` is an Idempotency-Key."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        if key is not None:
            headers["Idempotency-Key"] = key
        return self._send("POST", path, json.dumps(body).encode(), headers)

    def upload(self, path: str, *, name: str, content: bytes) -> Answer:
        """Send a file as a form does; `name` is plain ASCII."""
        line = f"latchwork-{uuid.uuid4().hex}"
        head = f'--{line}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": f"multipart/form-data; boundary={line}"}
        return self._send("POST", path, head.encode() + content + f"\r\n--{line}--\r\n".encode(), headers)

    def items(self, path: str) -> Iterator[dict[str, Any]]:
        """Yield a list's items, page by page."""
        following: str | None = path
        while following is not None:
            answer = self.get(following)
            if answer.status != 200:
                raise Refused(f"GET {path} answered {answer.complaint}")
            yield from answer.content["items"]
            following = answer.content["next"]

    def _send(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Answer:
        parts = urlsplit(path)   # `next` is absolute: a proxy in between may give it another host, the token stays here
        url = f"{self.url}{parts.path}" + (f"?{parts.query}" if parts.query else "")
        response = outgoing.request(
            method, url, headers=headers, body=body, timeout_seconds=SECONDS, max_bytes=MOST_BYTES, allow_private=True,
        )
        text = response.body.decode(errors="replace")
        try:
            content = json.loads(text)
        except ValueError:
            content = None
        return Answer(response.status, response.headers, content, text, response.elapsed_seconds, response.body)

    @property
    def is_local(self) -> bool:
        """Return whether it is on this machine."""
        host = urlsplit(self.url).hostname or ""
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments that name a stack."""
    parser.add_argument("--url", help="of the web process; default: this checkout's, by PORT")
    given = parser.add_mutually_exclusive_group()
    given.add_argument("--token", help="of the API; on a shared machine rather --token-file")
    given.add_argument("--token-file", type=Path, help="a file with the token; default: the one that `make up` keeps in DATA_DIR")


def chosen(*, url: str | None, token: str | None, token_file: Path | None) -> Stack:
    """Return the stack that the arguments name."""
    url = (url or f"http://127.0.0.1:{_port()}").rstrip("/")
    try:
        outgoing.check(url)
    except outgoing.BadRequest as exc:
        raise NotUnderstood(f"--url {exc.reason}") from exc
    except outgoing.Refused:   # inner addresses are what this is for
        pass
    return Stack(url, token or _read(token_file or settings.ENV.DATA_DIR / "token", given=token_file is not None))


def _read(path: Path, *, given: bool) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as exc:
        fix = "give a readable file" if given else "run `make up`, or give --token or --token-file (tokens_create makes one)"
        raise NotUnderstood(f"{path} holds no token that can be read: {fix}") from exc


def _port() -> int:
    """Return the web's port: what the environment says, else what `make up` has noted for this checkout."""
    env = settings.ENV
    return env.PORT if "PORT" in env.model_fields_set else ports.noted(env.DATA_DIR, "web") or env.PORT
