from datetime import timedelta

import pytest
from django.contrib.auth.models import Group, User
from django.db.models.functions import Now
from django.test import Client

from core.api import tokens
from core.api.models import ApiToken
from core.api.roles import Role
from tests.support.caller import Caller

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.core.api.routes")]


def bearer(value: str) -> Caller:
    return Caller({"Authorization": value})


def test_a_token_speaks_for_its_role_and_only_its_hash_is_kept():
    new = tokens.create(name="ci", role=Role.OPERATOR)

    response = bearer(f"Bearer {new.token}").get("/api/who")

    stored = str(ApiToken.objects.values().get())
    assert response.json() == {"key": f"token:{new.row.prefix}", "name": "ci", "role": "operator"}
    assert new.token.split("_", 2)[2] not in stored


@pytest.mark.parametrize("header", [
    "Bearer", "Bearer ", "Bearer x", "Basic dXNlcjpwYXNz", "Bearer lw_00000000_" + "a" * 43, "lw_00000000_" + "a" * 43,
    "Bearer \xe9",
])
def test_a_wrong_header_is_a_401_that_says_how(header):
    response = bearer(header).get("/api/who")

    assert (response.status_code, response["WWW-Authenticate"]) == (401, 'Bearer realm="latchwork"')


def test_the_right_prefix_with_another_secret_is_refused():
    new = tokens.create(name="ci", role=Role.ADMIN)
    forged = new.token[:-1] + ("a" if new.token[-1] != "a" else "b")

    assert bearer(f"Bearer {new.token}").get("/api/who").status_code == 200
    assert bearer(f"Bearer {forged}").get("/api/who").status_code == 401


def test_a_token_ends_when_it_expires():
    new = tokens.create(name="ci", role=Role.ADMIN, life=timedelta(days=1))
    caller = bearer(f"Bearer {new.token}")
    before = caller.get("/api/who").status_code
    ApiToken.objects.update(expires_at=Now())

    assert [before, caller.get("/api/who").status_code] == [200, 401]


def test_a_token_ends_when_it_is_revoked():
    new = tokens.create(name="ci", role=Role.ADMIN)
    caller = bearer(f"Bearer {new.token}")
    before = caller.get("/api/who").status_code
    tokens.revoke([f"lw_{new.row.prefix}"])

    assert [before, caller.get("/api/who").status_code] == [200, 401]


def test_the_last_use_is_written_at_most_once_a_minute():
    new = tokens.create(name="ci", role=Role.VIEWER)
    caller = bearer(f"Bearer {new.token}")

    def use():
        caller.get("/api/who")
        return ApiToken.objects.get().last_used_at

    first, second = use(), use()
    ApiToken.objects.update(last_used_at=Now() - timedelta(seconds=61))
    shifted = ApiToken.objects.get().last_used_at

    assert first is not None
    assert first == second
    assert use() > shifted


@pytest.mark.parametrize(("flags", "groups", "role"), [
    ({}, (), "viewer"),
    ({"is_staff": True}, (), "viewer"),   # staff enters the admin, and no more
    ({"is_staff": True}, ("viewer",), "viewer"),
    ({}, ("operator",), "operator"),
    ({}, ("viewer", "operator", "admin"), "admin"),
    ({}, ("some others",), "viewer"),
    ({"is_superuser": True}, ("viewer",), "admin"),
])
def test_a_session_speaks_for_the_role_of_its_user(flags, groups, role):
    user = User.objects.create_user("ann", **flags)
    user.groups.set([Group.objects.get_or_create(name=name)[0] for name in groups])
    client = Client()
    client.force_login(user)

    assert client.get("/api/who").json() == {"key": f"user:{user.pk}", "name": "ann", "role": role}


def test_the_groups_that_give_roles_are_made_when_the_database_is():
    assert {"viewer", "operator", "admin"} <= set(Group.objects.values_list("name", flat=True))


def test_a_session_needs_its_csrf_token_to_change_something():
    client = Client(enforce_csrf_checks=True)
    ann = User.objects.create_user("ann")
    ann.groups.add(Group.objects.get_or_create(name="operator")[0])
    client.force_login(ann)
    client.cookies["csrftoken"] = "a" * 32

    without = client.post("/api/notes", {"text": "a"}, content_type="application/json")
    given = client.post(
        "/api/notes", {"text": "a"}, content_type="application/json", headers={"X-CSRFToken": "a" * 32},
    )

    assert [without.status_code, given.status_code] == [403, 201]
    assert "CSRF" in without.json()["detail"]


def test_a_wrong_token_is_not_saved_by_a_session():
    client = Client()
    client.force_login(User.objects.create_user("ann"))

    assert client.get("/api/who", headers={"Authorization": "Bearer x"}).status_code == 401
