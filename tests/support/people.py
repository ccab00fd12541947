"""People who are logged in to the site: one of each role, in the ways that make them so."""

from typing import Any

from django.contrib.auth.models import Group, User
from django.test import Client

ROLES = ("viewer", "operator", "admin")


def person(role: str = "", *, name: str = "", **flags: Any) -> User:
    """Make a user of staff who is in the group of a role, if one is named."""
    user = User.objects.create_user(name or role or "nobody", **{"is_staff": True, **flags})
    if role:
        user.groups.add(Group.objects.get_or_create(name=role)[0])
    return user


def logged_in(user: User) -> Client:
    """Return a browser's worth of session for a user."""
    client = Client(raise_request_exception=False)
    client.force_login(user)
    return client
