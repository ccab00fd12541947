"""Values in Redis or Valkey that compare tokens, each a hash of `value` and `fence`."""

from typing import Any

from core.fencing.errors import StaleToken

# Numbers of Lua are exact to 2^53 only, so tokens are compared as texts of digits: the longer one is greater.
_COMPARE = """
local seen = redis.call('HGET', KEYS[1], 'fence')
if seen and (#seen > #ARGV[1] or (#seen == #ARGV[1] and seen > ARGV[1])) then return seen end
redis.call('HSET', KEYS[1], 'fence', ARGV[1])
"""
_SET = _COMPARE + "redis.call('HSET', KEYS[1], 'value', ARGV[2]) return false"
_DELETE = _COMPARE + "redis.call('HDEL', KEYS[1], 'value') return false"
_RAISE = _COMPARE + "return false"


class FencedValues:
    """Values by key. Keys have no time to live: when a fence expired, an older holder could write again."""

    def __init__(self, client: Any) -> None:
        """Take a client of redis-py, or one like it."""
        self._client = client
        self._set, self._delete, self._raise = (client.register_script(text) for text in (_SET, _DELETE, _RAISE))

    def get(self, key: str) -> bytes | None:
        value: bytes | None = self._client.hget(key, "value")
        return value

    def set(self, key: str, value: bytes | str, *, token: int) -> None:
        """Write under the token, or raise StaleToken. After a lost answer, write the same again: it changes nothing more."""
        self._run(self._set, key, token, value)

    def delete(self, key: str, *, token: int) -> None:
        """Remove the value under the token, or raise StaleToken; the fence stays."""
        self._run(self._delete, key, token)

    def raise_fence(self, key: str, *, token: int) -> None:
        """Stop whoever holds an older token, before anything is written under this one; raise StaleToken if it is older itself."""
        self._run(self._raise, key, token)

    def _run(self, script: Any, key: str, token: int, *values: bytes | str) -> None:
        seen = script(keys=[key], args=[str(token), *values])
        if seen is not None:
            raise StaleToken(f"Redis key {key}", token=token, seen=int(seen))
