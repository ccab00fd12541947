"""What of a response is kept: a result that certainly fits into a row, or one sentence about what went wrong."""

import base64
import codecs
import json
import re
from typing import Any

from apps.jobs.outcomes import JSON
from core.outgoing import Response

BODY_ROOM = 235 * 1024   # of the 256 KiB of a result; what the largest allowed body takes in base64
HEADERS_ROOM = 8 * 1024
LONGEST_VALUE = 1000
SHOWN = 300
CREDENTIALS = ("set-cookie", "www-authenticate", "proxy-authenticate")   # not for everybody who may read results
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


def result(response: Response) -> JSON:
    """Return the result of a job: `body` is text when it is UTF-8 that can be stored, else base64."""
    text = _text(response)
    return {
        **head(response),
        "body": base64.b64encode(response.body).decode() if text is None else text,
        "body_encoding": "base64" if text is None else "text",
        "truncated": response.truncated,
    }


def head(response: Response) -> dict[str, Any]:
    """Return what is kept of an answer apart from its body."""
    return {
        "status": response.status,
        "url": response.url,
        "headers": _headers(response),
        "elapsed_ms": round(response.elapsed_seconds * 1000),
    }


def complaint(response: Response) -> str:
    """Return a sentence with the status and the beginning of the body, fit for a log line."""
    said = " ".join(_clean(response.body[: 4 * SHOWN].decode(errors="replace")).split())[:SHOWN]
    where = f" (Location: {_clean(location)[:200]})" if (location := response.headers.get("location")) else ""
    return f"the server answered {response.status}{where}" + (f": {said}" if said else "")


def _text(response: Response) -> str | None:
    try:   # a body that was cut may end within a character: that one is left out, nothing else is forgiven
        text = codecs.getincrementaldecoder("utf-8")().decode(response.body, final=not response.truncated)
    except UnicodeDecodeError:
        return None
    return None if "\x00" in text or len(json.dumps(text)) > BODY_ROOM else text


def _headers(response: Response) -> dict[str, str]:
    kept: dict[str, str] = {}
    room = HEADERS_ROOM
    for name, value in response.headers.items():
        name, value = _clean(name), _clean(value)[:LONGEST_VALUE]   # noqa: PLW2901  nobody needs them raw
        room -= len(json.dumps({name: value}))
        if room < 0:
            break
        if name not in CREDENTIALS:
            kept[name] = value
    return kept


def _clean(value: str) -> str:
    return CONTROL.sub(" ", value)
