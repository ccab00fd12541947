"""Tokens of machines: `lw_<8 hex digits>_<43 characters>`.

The digits are stored and shown, so that a row can be found and a token be recognised; of the rest only a hash is kept.
"""

import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from core import audit
from core.api.models import ApiToken
from core.api.roles import Role
from core.errors import PlatformError

FORM = re.compile(r"lw_([0-9a-f]{8})_([A-Za-z0-9_-]{43})", re.ASCII)
USE_IS_WRITTEN_EACH = timedelta(minutes=1)


class UnknownToken(PlatformError):
    """No token has one of these prefixes."""

    def __init__(self, prefixes: list[str]) -> None:
        self.prefixes = prefixes
        super().__init__(f"no token begins with {', '.join(prefixes)}: tokens_list shows the prefixes")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewToken:
    """The only moment at which a whole token exists."""

    token: str
    row: ApiToken


def create(*, name: str, role: Role, life: timedelta | None = None) -> NewToken:
    """Make a token. Show it to whoever asked, at once: it cannot be read again."""
    prefix, secret = secrets.token_hex(4), secrets.token_urlsafe(32)
    with transaction.atomic():
        row = ApiToken.objects.create(
            name=name,
            prefix=prefix,
            digest=_digest(secret),
            role=role,
            expires_at=Now() + life if life is not None else None,
        )
        facts = {"name": name, "role": role, "good_for_seconds": life.total_seconds() if life else None}
        audit.record(action="token.create", target=f"token:{prefix}", after=facts)
    return NewToken(token=f"lw_{prefix}_{secret}", row=row)


def find(token: str) -> ApiToken | None:
    """Return the row of a token that is valid now, by the database's clock, else None."""
    match = FORM.fullmatch(token)
    rows = usable().annotate(use_is_old=Q(last_used_at=None) | Q(last_used_at__lt=Now() - USE_IS_WRITTEN_EACH))
    row = rows.filter(prefix=match[1]).first() if match else None
    if match and row and secrets.compare_digest(row.digest, _digest(match[2])):
        return row
    return None


def usable() -> QuerySet[ApiToken]:
    """Return the tokens that let somebody in now."""
    return ApiToken.objects.filter(Q(expires_at=None) | Q(expires_at__gt=Now()), revoked_at=None)


def note_use(row: ApiToken) -> None:
    """Write when the token that `find` returned was used, unless that was written a moment ago or is being written."""
    if row.use_is_old and not settings.READ_ONLY:  # type: ignore[attr-defined]  # annotated by find
        with transaction.atomic():
            free = ApiToken.objects.select_for_update(skip_locked=True).filter(pk=row.pk)   # never waits for a peer
            ApiToken.objects.filter(pk__in=free.values("pk")).update(last_used_at=Now())


def revoke(prefixes: list[str]) -> list[ApiToken]:
    """End tokens from now on and return them; one that was ended earlier keeps its time."""
    with transaction.atomic():
        rows = select(prefixes)
        for row in rows:
            if ApiToken.objects.filter(pk=row.pk, revoked_at=None).update(revoked_at=Now()):
                audit.record(
                    action="token.revoke", target=f"token:{row.prefix}",
                    before={"name": row.name, "revoked": False}, after={"name": row.name, "revoked": True},
                )
    return rows


def select(prefixes: list[str]) -> list[ApiToken]:
    """Return the tokens with these prefixes, with or without their `lw_`; raise `UnknownToken` for others."""
    wanted = [prefix.removeprefix("lw_").split("_")[0] for prefix in prefixes]
    rows = list(ApiToken.objects.filter(prefix__in=wanted).order_by("pk"))
    if missing := sorted(set(wanted) - {row.prefix for row in rows}):
        raise UnknownToken(missing)
    return rows


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
