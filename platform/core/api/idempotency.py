"""`Idempotency-Key`: whoever repeats a request, because the answer was lost, gets the first one's result.

The record is written in the transaction of the work, so that both exist or neither. Who works on a key holds a lock of
PostgreSQL that ends with that transaction, however it ends: a second request sees at once that the first still runs,
and a crashed first one is gone the moment PostgreSQL knows. There is no lease, and no clock decides.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import Any

from django.db import connection, transaction
from django.db.models.functions import Now
from django.utils.crypto import salted_hmac
from rest_framework.request import Request

from core.api.authentication import principal
from core.api.models import IdempotencyRecord
from core.api.problems import FieldError, Problem
from core.observability import metrics

HEADER = "Idempotency-Key"
FORM = re.compile(r'"([A-Za-z0-9._:-]{1,255})"|([A-Za-z0-9._:-]{1,255})', re.ASCII)
LIFE = timedelta(hours=24)


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A key in its room, and a fingerprint of the request that came with it."""

    principal: str
    route: str
    value: str
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What the work made, now or at the first time."""

    result: Any
    replayed: bool


def read_key(request: Request, *, route: str, body: Callable[[], Any] | None = None) -> Key | None:
    """Return the request's key, or None without one; a malformed one is a 400.

    `body` returns what tells the request from others, as JSON, when its data are none: of a file, its digest.
    """
    header = request.headers.get(HEADER)
    if header is None:
        return None
    match = FORM.fullmatch(header.strip())
    if match is None:
        detail = "must have 1 to 255 letters, digits, dots, underscores, colons or dashes, quoted or not"
        error = FieldError(pointer=f"/{HEADER}", detail=detail)
        raise Problem(
            status=HTTPStatus.BAD_REQUEST, kind="invalid-idempotency-key", detail=f"{HEADER} {detail}", errors=[error],
        )
    content = json.dumps(request.data if body is None else body(), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    # Keyed: whoever reads the table and can guess the rest of a body could else try values for a secret in it.
    fingerprint = salted_hmac(__name__, f"{request.method}\n{route}\n{content}", algorithm="sha256").hexdigest()
    return Key(
        principal=principal(request).key, route=route, value=match[1] or match[2], fingerprint=fingerprint,
    )


def perform(key: Key | None, work: Callable[[], Any]) -> Done:
    """Do the work unless it was done under this key; `work` returns what identifies its result, as JSON.

    What `work` raises undoes everything, the record included, so that the client can correct itself and try again.
    """
    if key is None:
        return Done(result=work(), replayed=False)
    with transaction.atomic():
        if not _lock(key):
            metrics.idempotent_request("busy")
            raise Problem(
                status=HTTPStatus.CONFLICT,
                kind="idempotency-key-in-use",
                detail=f"the first request with the {HEADER} {key.value!r} is still running: try again in a moment",
                headers={"Retry-After": "1"},
            )
        first = _room(key).filter(expires_at__gt=Now()).first()
        if first is not None:
            return _replay(key, first)
        result = work()
        IdempotencyRecord.objects.update_or_create(
            principal=key.principal, route=key.route, key=key.value,
            defaults={
                "fingerprint": key.fingerprint, "result": result, "created_at": Now(), "expires_at": Now() + LIFE,
            },
        )
    metrics.idempotent_request("first")
    return Done(result=result, replayed=False)


def prune(*, limit: int = 10_000) -> int:
    """Delete records whose time is over, at most `limit`, and return how many."""
    old = IdempotencyRecord.objects.filter(expires_at__lte=Now()).order_by("expires_at").values("pk")[:limit]
    return IdempotencyRecord.objects.filter(pk__in=old).delete()[0]


def _lock(key: Key) -> bool:
    text = f"idempotency\n{key.principal}\n{key.route}\n{key.value}"
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))", [text])
        return bool(cursor.fetchone()[0])


def _room(key: Key) -> Any:
    return IdempotencyRecord.objects.filter(principal=key.principal, route=key.route, key=key.value)


def _replay(key: Key, first: IdempotencyRecord) -> Done:
    if first.fingerprint != key.fingerprint:
        metrics.idempotent_request("mismatch")
        raise Problem(
            status=HTTPStatus.UNPROCESSABLE_ENTITY,
            kind="idempotency-key-reused",
            detail=f"the {HEADER} {key.value!r} came with another request before: a new request needs a new key",
        )
    metrics.idempotent_request("replayed")
    return Done(result=first.result, replayed=True)
