"""Who may do what in the admin: the roles of the API, for whoever is let in."""

from django.contrib.auth.models import AbstractBaseUser
from django.http import HttpRequest

from core.api.authentication import role_of
from core.api.roles import Role


def may(request: HttpRequest, needed: Role) -> bool:
    """Tell whether whoever asks may be here at all, and has the role."""
    user = request.user
    return isinstance(user, AbstractBaseUser) and user.is_active and getattr(user, "is_staff", False) and role_of(user).covers(needed)
