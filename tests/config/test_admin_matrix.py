"""Who may do what in the admin: made from the registered admins, so that no action can be forgotten."""

import uuid
from collections.abc import Iterator

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from apps.jobs import services as jobs
from apps.jobs.lifecycle import Status
from core.admin.lists import Looking
from core.api import tokens
from core.api.roles import Role
from core.locking.models import key_of
from core.locking.shared import shared
from tests.support import factories
from tests.support.people import ROLES, logged_in, person

pytestmark = pytest.mark.django_db
MATRIX = {
    ("jobs.Job", "retry"): "operator",
    ("jobs.Job", "cancel"): "operator",
    ("jobs.Job", "run"): "operator",
    ("jobs.Job", "discard"): "admin",
    ("jobs.Queue", "pause"): "operator",
    ("jobs.Queue", "resume"): "operator",
    ("core.ApiToken", "revoke"): "admin",
    ("core.Lock", "release"): "admin",
}
READS = {"core.AuditEntry": "admin", "core.ApiToken": "admin"}   # the other lists are for whoever is let in
DJANGOS = {"auth.Group", "auth.User"}   # guarded by Django's own permissions, which only a superuser has unless given
STATUS = {"retry": Status.COMPLETED, "cancel": Status.SCHEDULED, "run": Status.SCHEDULED, "discard": Status.DEAD_LETTER}
PASSING = {"django_session", "django_admin_log", "audit_entry", "auth_user"}   # written by looking and by logging in


def registered():
    assert get_resolver().url_patterns   # to read them registers the admins
    return {model._meta.label: found for model, found in admin.site._registry.items()}


def ours():
    return {label: found for label, found in registered().items() if isinstance(found, Looking)}


def least(needed: str | None) -> set[str]:
    return set(ROLES[ROLES.index(needed or "viewer"):])


def content() -> dict[str, list[tuple[str, ...]]]:
    """Return what stands in each table that somebody could change."""
    with connection.cursor() as cursor:
        names = [name for name in connection.introspection.table_names(cursor) if name not in PASSING]
        found = {}
        for name in names:
            cursor.execute(f'SELECT t::text FROM "{name}" AS t ORDER BY 1')
            found[name] = cursor.fetchall()
        cursor.execute("SELECT (namespace, name, state, fence, nonce, owner)::text FROM locks.lock ORDER BY 1")   # a holder renews meanwhile
        found["locks.lock"] = cursor.fetchall()
        cursor.execute("SELECT id, username, password, is_staff, is_superuser, is_active FROM auth_user ORDER BY id")
        return {**found, "auth_user": cursor.fetchall()}


def target(operation: str) -> str:
    if operation == "revoke":
        return str(tokens.create(name="x", role=Role.VIEWER).row.pk)
    if operation == "release":
        lease = shared().acquire(f"matrix:{uuid.uuid4()}")
        return key_of(lease.name, lease.token)
    if operation == "resume":
        jobs.pause("default")
    return str(factories.job_in(STATUS[operation])) if operation in STATUS else "default"


def test_every_operation_stands_in_the_matrix():
    found = {(label, each.name): str(each.needs) for label, one in ours().items() for each in one.operations}

    assert found == MATRIX


def test_every_admin_is_one_that_only_looks_or_djangos_own():
    others = {label for label in registered() if label not in ours() and not label.startswith("django_celery_beat.")}

    assert others == DJANGOS


def test_lists_and_rows_are_shown_to_the_roles_that_read_them():
    people = {role: logged_in(person(role)) for role in ROLES}

    for label in ours():
        address = reverse(f"admin:{label.lower().replace('.', '_')}_changelist")
        shown = {role for role, client in people.items() if client.get(address).status_code == 200}
        assert (label, shown) == (label, least(READS.get(label)))
        assert Client().get(address)["Location"].startswith("/admin/login/")


@pytest.mark.parametrize(("label", "operation"), sorted(MATRIX))
def test_an_operation_is_done_for_whom_the_matrix_names_and_for_nobody_below(label, operation):
    done = set()
    address = reverse(f"admin:{label.lower().replace('.', '_')}_changelist")
    people = {**{role: logged_in(person(role)) for role in ROLES}, "nobody": Client(), "outsider": logged_in(
        person("admin", name="outsider", is_staff=False),
    )}
    for role, client in people.items():
        key = target(operation)
        before = content()
        client.post(address, {
            "action": operation, "_selected_action": [key], "confirm": operation, "reason": "a test",
        })
        if content() != before:
            done.add(role)
        if label == "jobs.Queue":
            jobs.resume("default")

    assert done == least(MATRIX[label, operation])


def every_address(patterns, before="/") -> Iterator[str]:
    for pattern in patterns:
        route = before + str(pattern.pattern).removeprefix("^").removesuffix("$")
        if isinstance(pattern, URLResolver):
            yield from every_address(pattern.url_patterns, route)
        elif isinstance(pattern, URLPattern):
            yield route


def admin_addresses(keys: dict[str, str]) -> list[str]:
    """Return an address for each of the admin's routes, about a row that is there."""
    [site] = [each for each in get_resolver().url_patterns if isinstance(each, URLResolver) and each.app_name == "admin"]
    found = []
    for route in every_address(site.url_patterns, "/admin/"):
        label = "/".join(route.split("/")[2:4])
        key = keys.get(label, str(uuid.uuid4()))
        address = route.replace("<path:object_id>", key).replace("<id>", key).replace("<int:content_type_id>", "1")
        found.append(address.replace("<path:object_id>", key).replace("(?P<app_label>auth|core|django_celery_beat|jobs)/", "jobs/"))
    return found


@pytest.mark.parametrize("who", ["nobody", "viewer"])
def test_no_address_of_the_admin_changes_anything_for_a_viewer_or_nobody(who):
    task = PeriodicTask.objects.create(name="t", task="http.request", interval=IntervalSchedule.objects.create(every=1, period="days"))
    user = person(name="somebody")
    keys = {
        "auth/user": str(user.pk), "auth/group": str(Group.objects.get_or_create(name="viewer")[0].pk),
        "jobs/job": str(factories.job_in(Status.COMPLETED)), "jobs/queue": "default",
        "core/lock": target("release"),
        "core/apitoken": str(tokens.create(name="x", role=Role.VIEWER).row.pk),
        "django_celery_beat/periodictask": str(task.pk),
        "django_celery_beat/intervalschedule": str(task.interval_id),
    }   # fmt: skip
    client = logged_in(person("viewer")) if who == "viewer" else Client(raise_request_exception=False)
    before, actions = content(), ("", "delete_selected", "retry", "pause", "revoke", "release", "enable_tasks", "disable_tasks", "run_tasks")
    addresses = [each for each in admin_addresses(keys) if not each.startswith(("/admin/login", "/admin/logout"))]

    statuses = set()
    for address in addresses:
        for action in actions if address.endswith(("job/", "queue/", "apitoken/", "lock/", "task/", "user/", "group/")) else ("",):
            form = {
                "action": action, "_selected_action": list(keys.values())[:1], "confirm": action, "reason": "x", "post": "yes",
                "username": "evil", "password1": "a-long-enough-1", "password2": "a-long-enough-1", "name": "evil",
                "every": "5", "period": "days", "is_superuser": "on", "_save": "Save",
            }   # fmt: skip
            statuses.add(client.post(address, form).status_code)

    assert len(addresses) > 60
    assert content() == before
    assert statuses <= {200, 302, 403, 404, 405}


def test_the_same_form_would_make_a_user_for_a_superuser():
    client = logged_in(User.objects.create_superuser("root"))

    client.post("/admin/auth/user/add/", {
        "username": "made", "password1": "a-long-enough-1", "password2": "a-long-enough-1", "usable_password": "true",
    })

    assert User.objects.filter(username="made").exists()
