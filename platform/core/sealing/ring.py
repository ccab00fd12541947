"""Seals and opens with the keys of this process."""

import base64
import binascii
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

from core.errors import PlatformError
from core.sealing import keys
from core.sealing.form import MARK, NoSealKey, key_of

NONCE_BYTES = 12   # random: one key may seal 2**32 values before two nonces are likely to meet (NIST SP 800-38D)
_ENCODER = json.JSONEncoder(allow_nan=False, ensure_ascii=False, separators=(",", ":"))


class UnknownSealKey(PlatformError):
    """The value was sealed with a key that this process has not."""

    def __init__(self, key_id: str) -> None:
        self.key_id = key_id
        super().__init__(f"is sealed with the key {key_id}, which SEAL_KEYS has not: put the old key back into SEAL_KEYS")


class DamagedSeal(PlatformError):
    """The value does not open: it was changed, or was sealed for another place, or with another key of the same id."""

    def __init__(self) -> None:
        super().__init__(
            "is sealed and does not open: it was damaged or moved here from elsewhere; "
            "restore the row, or put the old key back into SEAL_KEYS",
        )


@dataclass(frozen=True, slots=True)
class Ring:
    """Keys by their ids, in the order of the setting."""

    ciphers: Mapping[str, AESGCM]

    @property
    def first(self) -> str:
        """The id of the key that seals."""
        for name in self.ciphers:
            return name
        raise NoSealKey

    def seal(self, value: object, *, place: str) -> dict[str, str]:
        """Return the value sealed for one place: with another `place` it will not open."""
        name, nonce = self.first, os.urandom(NONCE_BYTES)
        text = self.ciphers[name].encrypt(nonce, _ENCODER.encode(value).encode(), place.encode())
        return {MARK: f"{name}:{base64.urlsafe_b64encode(nonce + text).decode()}"}

    def open(self, value: Mapping[str, Any], *, place: str) -> Any:
        """Return what was sealed; raise `UnknownSealKey` or `DamagedSeal`, neither of which shows anything of it."""
        name = key_of(value)
        if not name or len(value) > 1:
            raise DamagedSeal
        if name not in self.ciphers:
            raise UnknownSealKey(name)
        try:
            data = base64.b64decode(value[MARK].partition(":")[2], altchars=b"-_", validate=True)
            text = self.ciphers[name].decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], place.encode())
            return json.loads(text)
        except (InvalidTag, binascii.Error, ValueError) as exc:
            raise DamagedSeal from exc


def current() -> Ring:
    """Return the keys of SEAL_KEYS."""
    return _ring(tuple(settings.SEAL_KEYS))


@lru_cache(maxsize=8)
def _ring(words: tuple[str, ...]) -> Ring:
    found = [keys.decoded(word) for word in words]
    return Ring({keys.key_id(key): AESGCM(key) for key in found})
