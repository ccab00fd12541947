"""Signatures of webhooks as in the Standard Webhooks specification 1.0.0, which receivers verify with its libraries."""

import base64
import binascii
import hmac
from datetime import datetime

PREFIX = "whsec_"
SHORTEST, LONGEST = 24, 64


def key(secret: str) -> bytes:
    """Return the bytes of a secret; raise `ValueError` with the form that it must have."""
    try:
        decoded = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        decoded = b""
    if not SHORTEST <= len(decoded) <= LONGEST:
        msg = f"must be {PREFIX} and the base64 of {SHORTEST} to {LONGEST} random bytes"
        raise ValueError(msg)
    return decoded


def names(prefix: str) -> tuple[str, str, str]:
    """Return the names of the three headers."""
    return f"{prefix}-id", f"{prefix}-timestamp", f"{prefix}-signature"


def headers(body: bytes, *, secret: str, message_id: str, now: datetime, prefix: str = "webhook") -> dict[str, str]:
    """Return the headers of one attempt: the id says that it is the same message, the timestamp that it is fresh."""
    timestamp = str(int(now.timestamp()))
    signed = b".".join((message_id.encode(), timestamp.encode(), body))
    signature = "v1," + base64.b64encode(hmac.digest(key(secret), signed, "sha256")).decode()
    return dict(zip(names(prefix), (message_id, timestamp, signature), strict=True))
