"""Tokens of machines: to look at, and to end. `tokens_create` makes them, because it shows one once, in a terminal."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from django.contrib import admin

from core.admin.filters import choice
from core.admin.lists import Walking
from core.admin.operations import Foreseen, Operation
from core.api import tokens
from core.api.models import ApiToken
from core.api.roles import Role
from core.windows import Walk

REVOKE = Operation(
    name="revoke", label="Revoke", needs=Role.ADMIN, done="ended",
    about="Whoever uses such a token is refused from then on. This cannot be taken back: a new token is another one.",
)
STATES = [("usable", "usable"), ("ended", "revoked or expired")]


@admin.register(ApiToken)
class TokenAdmin(Walking):
    reads = Role.ADMIN
    list_display = ("prefix", "name", "role", "state", "created_at", "last_used_at", "expires_at", "revoked_at")
    list_filter = (choice("state", "state", lambda: STATES),)
    filters = frozenset({"state"})
    search_fields = ("pk",)   # the box is shown; what it finds, `walk` says
    search_help_text = "The prefix of a token, with or without lw_."
    fields = ("name", "prefix", "role", "state", "created_at", "last_used_at", "expires_at", "revoked_at")
    operations: ClassVar = (REVOKE,)

    def walk(self, given: Mapping[str, str], text: str) -> Walk[ApiToken]:
        rows = ApiToken.objects.all()
        if text:
            rows = rows.filter(prefix=text.removeprefix("lw_").split("_")[0])
        usable = tokens.usable().values("pk")   # few: people make them one by one
        match given.get("state"):
            case "usable":
                rows = rows.filter(pk__in=usable)
            case "ended":
                rows = rows.exclude(pk__in=usable)
        return Walk(sources=[rows], order=self.order)

    def state(self, token: ApiToken) -> str:
        if token.revoked_at:
            return "revoked"
        return "usable" if tokens.usable().filter(pk=token.pk).exists() else "expired"

    def foresee(self, operation: Operation, keys: Sequence[str]) -> Foreseen:  # noqa: ARG002  there is one
        foreseen = Foreseen()
        for token in ApiToken.objects.filter(pk__in=[key for key in keys if _is_key(key)]):
            if token.revoked_at:
                foreseen.refused.append((str(token), "it was revoked already"))
            else:
                foreseen.agreed.append(str(token))
        return foreseen

    def perform(self, operation: Operation, key: str, **_: Any) -> None:  # noqa: ARG002  as above
        token = ApiToken.objects.filter(pk=key).first() if _is_key(key) else None
        tokens.revoke([token.prefix if token else key])


def _is_key(text: str) -> bool:
    return text.isdecimal() and len(text) < 19
