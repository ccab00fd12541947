"""Who asks: a machine with a Bearer token, or a person with Django's session and its CSRF token."""

from dataclasses import dataclass
from typing import cast

from django.contrib.auth.models import AbstractBaseUser
from django.http import HttpRequest
from rest_framework import authentication, exceptions
from rest_framework.request import Request

from core.api import tokens
from core.api.models import ApiToken
from core.api.roles import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Whoever a request speaks for. `key` is what records and logs know it by."""

    key: str
    name: str
    role: Role
    is_authenticated: bool = True
    is_active: bool = True


def principal(request: Request) -> Principal:
    """Return who asks. Only for views whose permission demands a role: there always is somebody."""
    return cast("Principal", request.user)


def role_of(user: AbstractBaseUser) -> Role:
    """Return the role of a Django user, for API and admin alike: a superuser is admin, others have their groups' highest.

    The groups are called as the roles are. Whoever is in none of them reads; being staff opens the admin and no more.
    """
    known: Role | None = getattr(user, "latchwork_role", None)   # a page of the admin asks dozens of times
    if known is None:
        known = user.latchwork_role = _role_now(user)  # type: ignore[attr-defined]  # of this request's user alone
    return known


def _role_now(user: AbstractBaseUser) -> Role:
    if not user.is_active:
        return Role.VIEWER
    if getattr(user, "is_superuser", False):
        return Role.ADMIN
    groups = getattr(user, "groups", None)
    named = set(groups.filter(name__in=Role.values).values_list("name", flat=True)) if groups is not None else set()
    return next((role for role in reversed(Role) if role.value in named), Role.VIEWER)


class BearerAuthentication(authentication.BaseAuthentication):
    """`Authorization: Bearer lw_…`. Any other use of that header is refused, never taken for nobody."""

    def authenticate(self, request: Request) -> tuple[Principal, ApiToken] | None:
        """Return the token's principal, or None when the header is absent."""
        header = request.headers.get("Authorization")
        if header is None:
            return None
        scheme, _, value = header.strip().partition(" ")
        row = tokens.find(value.strip()) if scheme.lower() == "bearer" else None
        if row is None:
            raise exceptions.AuthenticationFailed(
                "this is no valid token: send Authorization: Bearer <token>; tokens are made with tokens_create",
            )
        tokens.note_use(row)
        found = Principal(key=f"token:{row.prefix}", name=row.name, role=Role(row.role))
        _remember(request, found)
        return found, row

    def authenticate_header(self, request: Request) -> str:  # noqa: ARG002  the interface of REST framework
        """Return what a 401 asks for."""
        return 'Bearer realm="latchwork"'


class SessionAuthentication(authentication.SessionAuthentication):
    """A person who is logged in to this site; what changes something needs the CSRF token as well."""

    def authenticate(self, request: Request) -> tuple[Principal, None] | None:
        """Return the user's principal, or None when nobody is logged in."""
        found = super().authenticate(request)
        if found is None:
            return None
        user = found[0]
        who = Principal(key=f"user:{user.pk}", name=user.get_username(), role=role_of(user))
        _remember(request, who)
        return who, None


def _remember(request: Request, who: Principal) -> None:
    django_request: HttpRequest = request._request  # noqa: SLF001  the way to Django's own request, for the log line
    django_request.principal_key = who.key  # type: ignore[attr-defined]
    django_request.principal = who  # type: ignore[attr-defined]  # for the audit
