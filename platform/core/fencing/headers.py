"""The token on its way to another service."""

import hashlib
from collections.abc import Mapping
from urllib.parse import quote, unquote

LONGEST = 200
KEY, RESOURCE, TOKEN = "Idempotency-Key", "Fence-Resource", "Fence-Token"


def idempotency_key(name: str, token: int, step: str, *, namespace: str = "default") -> str:
    """Return a key that is the same whenever this grant takes this step: a repetition of it has no second effect.

    Another grant has another key. An effect that must happen once over all grants needs a key of the work itself, such as
    `job.step_key(step)`, and the token beside it.
    """
    key = "/".join([quote(namespace, safe=""), quote(name, safe=""), str(token), quote(step, safe="")])
    if len(key) > LONGEST:
        key = f"{hashlib.sha256(key.encode()).hexdigest()}/{token}"
    return key


def fence_headers(name: str, token: int, step: str, *, namespace: str = "default") -> dict[str, str]:
    """Return the headers of a call under a lock; the other side keeps the highest token of the resource and refuses lower ones."""
    return {
        KEY: idempotency_key(name, token, step, namespace=namespace),
        RESOURCE: quote(f"{namespace}/{name}", safe="/"), TOKEN: str(token),
    }


def read_headers(headers: Mapping[str, str]) -> tuple[str, int]:
    """Return resource and token of a call that came in, for `resources.admit`; raise ValueError when they are not there."""
    named = {name.lower(): value for name, value in headers.items()}
    try:
        return unquote(named[RESOURCE.lower()]), int(named[TOKEN.lower()])
    except KeyError as exc:
        raise ValueError(f"the call carries no header {exc.args[0]}") from exc
