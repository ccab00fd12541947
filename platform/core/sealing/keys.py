"""The keys of SEAL_KEYS: 32 bytes each in URL-safe base64. The first seals, all open."""

import base64
import binascii
import hashlib
import re

BYTES = 32
LETTERS = re.compile(r"[A-Za-z0-9_-]{43}=?")
MAKE = "make one with: python -c 'import secrets; print(secrets.token_urlsafe(32))'"


def decoded(word: str) -> bytes:
    """Return a key's bytes; raise ValueError that says how to make one, never what stood there."""
    try:
        key = base64.urlsafe_b64decode(f"{word.rstrip('=')}=") if LETTERS.fullmatch(word) else b""
    except binascii.Error:
        key = b""
    if len(key) != BYTES:
        msg = f"must be keys of {BYTES} bytes in URL-safe base64 (43 letters), separated by commas: {MAKE}"
        raise ValueError(msg)
    return key


def key_id(key: bytes) -> str:
    """Return by what a sealed value names its key: a digest, from which nobody gets back to the key."""
    return hashlib.sha256(b"latchwork seal key\0" + key).hexdigest()[:8]


def check(words: list[str]) -> None:
    """Raise ValueError for what cannot be a list of keys."""
    ids = [key_id(decoded(word)) for word in words]
    if len(set(ids)) < len(ids):
        msg = "names a key twice: keep each once, the one that seals first"
        raise ValueError(msg)
