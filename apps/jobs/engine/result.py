"""What a handler returns and raises, as text that PostgreSQL stores.

Checked where the handler ran, because one value that jsonb refuses would refuse the whole batch of endings.
"""

import json
import traceback as tracebacks

from apps.jobs.errors import UnstorableResult
from apps.jobs.registry import NUL

MOST_RESULT_BYTES = 256 * 1024
MOST_TRACEBACK = 16 * 1024
MOST_MESSAGE = 4 * 1024
MOST_NAME = 200


def storable(value: object) -> str | None:
    """Return a result as JSON text (None for None), or raise `UnstorableResult` with the reason."""
    if value is None:
        return None
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
        size = len(text.encode())
    except UnicodeEncodeError as exc:
        msg = "the result holds half of a surrogate pair, which no UTF-8 text can: encode or replace it"
        raise UnstorableResult(msg) from exc
    except (TypeError, ValueError, RecursionError) as exc:
        msg = f"the result is not JSON ({exc}): return dicts, lists, strings, finite numbers, booleans or None"
        raise UnstorableResult(msg) from exc
    if NUL.search(text):
        raise UnstorableResult("the result holds a NUL character, which PostgreSQL cannot store: remove it")
    if size > MOST_RESULT_BYTES:
        msg = f"the result has {size} bytes, at most {MOST_RESULT_BYTES} are stored: store it elsewhere and return where"
        raise UnstorableResult(msg)
    return text


def described(error: BaseException) -> str:
    """Return an exception as the JSON text of an attempt's error."""
    name = type(error).__qualname__
    module = type(error).__module__
    full = name if module in {"builtins", "__main__"} else f"{module}.{name}"
    try:
        message = str(error)
    except Exception as exc:  # noqa: BLE001  an exception's own __str__ may be anybody's code
        message = f"(its text could not be made: {type(exc).__name__})"
    try:
        trace = "".join(tracebacks.format_exception(error))
    except Exception:  # noqa: BLE001  as above
        trace = ""
    return error_text(full, message, trace)


def error_text(name: str, message: str, traceback: str = "") -> str:
    """Return an error as JSON text: cleaned of what cannot be stored and cut, the traceback to its last 16 KiB."""
    return json.dumps({
        "class": _clean(name[:MOST_NAME]),
        "message": _clean(message[:MOST_MESSAGE]),
        "traceback": _clean(traceback[-MOST_TRACEBACK:]),
    })


def _clean(text: str) -> str:
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()
