"""JSON as strict as it has to be: what two readers could understand differently, or nobody could store, is refused."""

import json
import math
import re
import sys
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import IO, Any, ClassVar

from rest_framework.parsers import BaseParser

from core.api.problems import FieldError, Problem, invalid, pointer

TEXT_OR_NUMBER = re.compile(r'"(?:[^"\\]|\\.)*"|-?(?P<whole>\d+)(?P<more>[.eE][-+.\deE]*)?', re.ASCII | re.DOTALL)


class StrictJSONParser(BaseParser):
    """UTF-8 JSON within limits: no duplicate keys, no NaN or Infinity, no NUL, no lone surrogate."""

    media_type = "application/json"
    max_bytes: ClassVar[int] = 256 * 1024
    max_depth: ClassVar[int] = 32
    max_keys: ClassVar[int] = 1_000

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,  # noqa: ARG002  the interface of REST framework
        parser_context: Mapping[str, Any] | None = None,  # noqa: ARG002  the interface of REST framework
    ) -> Any:
        """Return the value, or raise the `Problem` that says what is wrong with it."""
        raw = stream.read(self.max_bytes + 1)
        if len(raw) > self.max_bytes:
            raise Problem(
                status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                detail=f"the body is larger than {self.max_bytes} bytes, which is the limit here",
            )
        text = ""
        try:
            text = raw.decode("utf-8")
            value = self._loads(text)
        except UnicodeDecodeError as exc:
            raise _malformed(f"the body is not UTF-8: byte {exc.start} is wrong") from exc
        except json.JSONDecodeError as exc:
            raise _malformed(f"the body is not JSON: {exc.msg} at line {exc.lineno}, column {exc.colno}") from exc
        except RecursionError as exc:
            raise _malformed(self._too_deep()) from exc
        except ValueError as exc:
            raise _malformed(_too_long(text)) from exc
        self._check(value)
        return value

    def _loads(self, text: str) -> Any:
        keys = 0

        def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
            nonlocal keys
            keys += len(pairs)
            if keys > self.max_keys:
                raise _malformed(f"the body has more than {self.max_keys} keys, which is the limit here")
            found = dict(pairs)
            if len(found) != len(pairs):
                names = [name for name, _ in pairs]
                twice = next(name for name in names if names.count(name) > 1)
                raise _malformed(f"the key {twice!a} stands twice in one object: readers would differ about it")
            return found

        return json.loads(text, object_pairs_hook=unique, parse_constant=_no_number, parse_float=_finite)

    def _check(self, value: Any) -> None:
        """Refuse what is too deep, and text that PostgreSQL cannot hold; without recursion, which has limits itself."""
        errors: list[FieldError] = []
        waiting: list[tuple[tuple[object, ...], Any]] = [((), value)]
        while waiting:
            path, item = waiting.pop()
            if isinstance(item, str):
                if why := unstorable(item):
                    errors.append(FieldError(pointer=pointer(path), detail=why))
                continue
            if isinstance(item, dict | list):
                if len(path) >= self.max_depth:
                    raise _malformed(self._too_deep())
                waiting.extend(((*path, key), each) for key, each in _members(item))
            if isinstance(item, dict):
                errors.extend(
                    FieldError(pointer=pointer(path), detail=f"has a key that {why}")
                    for key in item if (why := unstorable(key))
                )
        if errors:
            raise invalid(_printable(errors))

    def _too_deep(self) -> str:
        return f"the body is nested deeper than {self.max_depth} levels, which is the limit here"


def unstorable(text: str) -> str:
    """Return why PostgreSQL cannot hold this text, or ""."""
    if "\0" in text:
        return "holds a NUL character, which cannot be stored: remove it"
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        return "holds half of a surrogate pair, which is no character: send the whole pair, or remove it"
    return ""


def _members(item: Any) -> Iterator[tuple[object, Any]]:
    return iter(item.items()) if isinstance(item, dict) else enumerate(item)


def _printable(errors: list[FieldError]) -> list[FieldError]:
    """Return the same with pointers that can be sent: they lead through the client's keys, the very thing refused."""
    return [
        FieldError(pointer=error.pointer.encode("utf-8", "replace").decode().replace("\0", "?"), detail=error.detail)
        for error in errors
    ]


def _no_number(name: str) -> Any:
    raise _malformed(f"the body holds {name}, which is not JSON: send null or a number")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise _malformed(f"the body holds the number {text[:40]}, which is too large: send it as text")
    return number


def _too_long(text: str) -> str:
    """Say where the whole number stands that Python refuses to read, because to read it takes quadratic time."""
    most = sys.get_int_max_str_digits()
    start = next(
        found.start() for found in TEXT_OR_NUMBER.finditer(text)
        if len(found["whole"] or "") > most and not found["more"]
    )
    line, column = text.count("\n", 0, start) + 1, start - text.rfind("\n", 0, start)
    return f"the body holds a number at line {line}, column {column} with more than {most} digits: send it as text"


def _malformed(detail: str) -> Problem:
    return Problem(status=HTTPStatus.BAD_REQUEST, kind="malformed-json", title="Malformed JSON", detail=detail)
