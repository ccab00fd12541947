"""Somebody who uses the API: a role with its token, or nobody."""

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.test import Client


@dataclass(frozen=True, slots=True)
class Caller:
    headers: dict[str, str] = field(default_factory=dict)
    client: Client = field(default_factory=lambda: Client(raise_request_exception=False))

    @classmethod
    def of(cls, role: str) -> "Caller":
        from core.api import tokens
        from core.api.roles import Role

        return cls({"Authorization": f"Bearer {tokens.create(name=role, role=Role(role)).token}"})

    def get(self, path: str, **headers: str) -> Any:
        """Names of headers take `_` for `-`."""
        return self.client.get(path, headers={**self.headers, **_dashed(headers)})

    def post(self, path: str, body: Any = None, /, **headers: str) -> Any:
        """Send a body as JSON, or as it is when it is bytes; names of headers take `_` for `-`."""
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        more = _dashed(headers)
        return self.client.post(
            path, data, content_type=more.pop("Content-Type", "application/json"), headers={**self.headers, **more},
        )


def _dashed(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


@pytest.fixture
def viewer(db: None) -> Caller:
    return Caller.of("viewer")


@pytest.fixture
def operator(db: None) -> Caller:
    return Caller.of("operator")


@pytest.fixture
def admin(db: None) -> Caller:
    return Caller.of("admin")
