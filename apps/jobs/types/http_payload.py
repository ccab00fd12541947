"""What an `http.request` is told: stored in the job's row as it is given, but for what is sealed."""

import base64
import binascii
import json
import uuid
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    SecretStr,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    field_serializer,
    field_validator,
    model_serializer,
    model_validator,
)

from apps.jobs.errors import refused
from apps.jobs.types import webhook
from core import outgoing

MOST_SECONDS = 120
MOST_BYTES = 176 * 1024   # in base64 it still fits into a result, beside the headers
MOST_SAVED_BYTES = 5 * 1024**3   # what may be asked for; ARTIFACT_MAX_BYTES decides
MOST_HEADERS = 50
BODIES = ("json", "text", "base64", "body_artifact")
Status = Annotated[int, Field(ge=100, le=599)]


class _Given(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, serialize_by_alias=True)


class Sign(_Given):
    """How to sign: Standard Webhooks, HMAC-SHA256 over `id.timestamp.body`."""

    secret: SecretStr = Field(description="whsec_ and the base64 of 24 to 64 random bytes, shared with the receiver")
    header_prefix: str = Field(
        "webhook", pattern=r"^[a-z][a-z0-9-]{0,30}$", description="names the headers: webhook-id, webhook-signature",
    )

    @field_validator("secret")
    @classmethod
    def _is_a_key(cls, secret: SecretStr) -> SecretStr:
        try:
            webhook.key(secret.get_secret_value())
        except ValueError as exc:
            raise refused(str(exc)) from None   # the cause would show the secret
        return secret

    @field_serializer("secret", when_used="json")
    def _stored(self, secret: SecretStr) -> str:
        return secret.get_secret_value()   # else a row would hold asterisks, and every attempt sign with them


class HttpRequest(_Given):
    """One request: `json`, `text`, `base64` or `body_artifact` is its body, at most one of them."""

    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] = "GET"
    url: str = Field(description="http or https, without user or password, to a public address")
    headers: dict[str, str] = Field(default={}, max_length=MOST_HEADERS)
    json_body: JsonValue = Field(None, alias="json", description="sent as application/json")
    text: str | None = Field(None, description="sent as text/plain; charset=utf-8")
    base64: str | None = Field(None, description="bytes, sent as application/octet-stream")
    body_artifact: uuid.UUID | None = Field(None, description="the id of a file to send, as of its own content type")
    timeout_seconds: float = Field(20, ge=1, le=MOST_SECONDS, description="for everything, redirects included")
    follow_redirects: bool = Field(default=False, strict=True)
    sign: Sign | None = None
    retry_statuses: list[Status] = Field(default=[408, 425, 429, 500, 502, 503, 504], max_length=100)
    expect_statuses: list[Status] | None = Field(
        None, min_length=1, max_length=100, description="success; by default any 2xx",
    )
    save_response: bool = Field(
        default=False, strict=True, description="keep the answer's body as an artifact, whose id is in the result",
    )
    max_response_bytes: int = Field(
        64 * 1024, ge=0, le=MOST_SAVED_BYTES,
        description=f"the rest is not read; above {MOST_BYTES} and by default unbounded with save_response alone",
    )

    @field_validator("url")
    @classmethod
    def _may_be_called(cls, url: str) -> str:
        try:
            outgoing.check(url)
        except outgoing.BadRequest as exc:
            raise refused(exc.reason) from exc
        except outgoing.Refused as exc:
            raise refused(str(exc)) from exc
        return url

    @field_validator("headers")
    @classmethod
    def _may_be_sent(cls, headers: dict[str, str]) -> dict[str, str]:
        try:
            outgoing.check_headers(headers)
        except outgoing.BadRequest as exc:
            raise refused(exc.reason) from exc
        if long := [name for name, value in headers.items() if len(name) + len(value) > 8000]:
            raise refused(f"{long[0][:100]!r} is longer than 8000 characters")
        return headers

    @field_validator("max_response_bytes")
    @classmethod
    def _fits(cls, most: int, info: ValidationInfo) -> int:
        if most > MOST_BYTES and not info.data.get("save_response"):
            raise refused(f"Input should be less than or equal to {MOST_BYTES}, unless save_response is true")
        return most

    @field_validator("base64")
    @classmethod
    def _is_base64(cls, text: str | None) -> str | None:
        try:
            base64.b64decode(text or "", validate=True)
        except (binascii.Error, ValueError) as exc:
            raise refused("is not base64 (standard alphabet, padded)") from exc
        return text

    @model_validator(mode="after")
    def _is_consistent(self) -> "HttpRequest":
        bodies = self._bodies()
        if len(bodies) > 1:
            raise refused(f"{' and '.join(bodies)} are both given: a request has one body", field=bodies[-1])
        if bodies and self.method in ("GET", "HEAD"):
            raise refused(f"{bodies[0]} is given, but a {self.method} carries no body: use POST", field=bodies[0])
        if self.sign:
            ours = webhook.names(self.sign.header_prefix)
            if taken := [name for name in self.headers if name.lower() in ours]:
                raise refused(f"headers name {taken[0]!r}, which sign sets: leave it out", field=("headers", taken[0]))
        return self

    @model_serializer(mode="wrap")
    def _as_given(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        given = {type(self).model_fields[name].alias or name for name in self.model_fields_set}
        return {name: value for name, value in handler(self).items() if name in given}

    def _bodies(self) -> list[str]:
        given = {"json": "json_body" in self.model_fields_set, "text": self.text is not None,
                 "base64": self.base64 is not None, "body_artifact": self.body_artifact is not None}   # fmt: skip  # json may be null, and null is a body
        return [name for name in BODIES if given[name]]

    def body(self) -> bytes | None:
        """Return the bytes to send that the payload itself holds: the same in every attempt, for the signature's sake."""
        if self.text is not None:
            return self.text.encode()
        if self.base64 is not None:
            return base64.b64decode(self.base64)
        if self._bodies() != ["json"]:
            return None
        return json.dumps(self.json_body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()

    def content_type(self) -> str | None:
        """Return how the body is announced unless a header says otherwise."""
        kinds = {"json": "application/json", "text": "text/plain; charset=utf-8", "base64": "application/octet-stream"}
        return next((kinds.get(name) for name in self._bodies()), None)

    def expects(self, status: int) -> bool:
        """Say whether a status is success."""
        return status in self.expect_statuses if self.expect_statuses else 200 <= status <= 299
