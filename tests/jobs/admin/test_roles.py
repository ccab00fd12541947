"""Who may do what in the admin: made from its addresses and operations, so that none can be forgotten."""

import uuid

import pytest
from django.contrib import admin as site
from django.test import Client
from django.urls import URLResolver, get_resolver, reverse

from apps.jobs.lifecycle import Status
from apps.jobs.models import Bulk, Job, Queue
from core import audit
from core.admin.lists import Looking, Walking
from core.admin.roles import may
from core.api import tokens
from core.api.models import ApiToken
from core.api.roles import Role
from core.audit.models import AuditEntry
from core.locking.models import key_of
from tests.jobs.admin.pressing import ask, press
from tests.support import factories
from tests.support.people import logged_in, person

pytestmark = pytest.mark.django_db
LOOKS = {
    "jobs_job": "viewer", "jobs_jobattempt": "viewer", "jobs_stalewrite": "viewer", "jobs_queue": "viewer",
    "jobs_worker": "viewer", "jobs_artifact": "viewer", "jobs_bulk": "viewer", "core_apitoken": "admin",
    "core_auditentry": "admin", "core_lock": "viewer",
}   # fmt: skip
ACTS = {
    ("jobs_job", "retry"): "operator", ("jobs_job", "cancel"): "operator", ("jobs_job", "run"): "operator",
    ("jobs_job", "discard"): "admin", ("jobs_queue", "pause"): "operator", ("jobs_queue", "resume"): "operator",
    ("core_apitoken", "revoke"): "admin", ("core_lock", "release"): "admin",
}   # fmt: skip
ROLES = ("viewer", "operator", "admin")
DJANGOS = {"auth", "django_celery_beat"}   # they have Django's own permissions, which no role gives


def registered():
    assert get_resolver().url_patterns   # imports the addresses, which look for the admins
    return site.site._registry


def ours():
    return {model: admin for model, admin in registered().items() if isinstance(admin, Looking)}


def name_of(model) -> str:
    return f"{model._meta.app_label}_{model._meta.model_name}"


@pytest.fixture
def people():
    return {None: Client(), "": logged_in(person("", name="staff")), **{role: logged_in(person(role)) for role in ROLES}}


def at_least(role):
    return set(ROLES[ROLES.index(role):])


def test_every_list_and_every_operation_stands_in_the_matrix():
    assert set(LOOKS) == {name_of(model) for model in ours()}
    assert set(ACTS) == {(name_of(model), each.name) for model, admin in ours().items() for each in admin.operations}


def test_whatever_else_is_in_the_admin_has_djangos_own_permissions():
    others = {model._meta.app_label for model in registered()} - {model._meta.app_label for model in ours()}

    assert DJANGOS == others


@pytest.mark.parametrize("model", sorted(LOOKS))
def test_a_list_is_seen_by_whom_the_matrix_names(model, people):
    statuses = {role: client.get(reverse(f"admin:{model}_changelist")).status_code for role, client in people.items()}

    allowed = at_least(LOOKS[model]) | ({""} if LOOKS[model] == "viewer" else set())
    assert allowed == {role for role, status in statuses.items() if status == 200}
    assert 302 == statuses[None]
    assert all(statuses[role] == 403 for role in set(statuses) - allowed - {None})


@pytest.mark.parametrize(("model", "operation"), sorted(ACTS))
def test_an_operation_is_done_for_whom_the_matrix_names_and_for_nobody_below(model, operation, people, echo):
    app, name = model.split("_")
    key = {
        "jobs_job": lambda: factories.job_in(Status.DEAD_LETTER),
        "jobs_queue": lambda: "default",
        "core_apitoken": lambda: tokens.create(name="t", role=Role.VIEWER).row.pk,
        "core_lock": lambda: key_of("payment:7", 5),
    }[model]()

    statuses = {role: ask(client, operation, key, model=name, app=app).status_code for role, client in people.items()}

    assert at_least(ACTS[model, operation]) == {role for role, status in statuses.items() if status == 200}
    assert 302 == statuses[None]
    assert AuditEntry.objects.filter(action__in=["job.retry", "queue.pause", "token.revoke", "lock.release"]).count() == 0


@pytest.mark.parametrize("operation", ["retry", "cancel", "run", "discard"])
def test_what_is_done_to_all_that_match_needs_the_same_role(operation, people):
    address = reverse("admin:jobs_bulk_begin", query={"action": operation, "status": "dead_letter"})

    statuses = {role: (client.get(address).status_code, client.post(address).status_code) for role, client in people.items()}

    assert at_least(ACTS["jobs_job", operation]) == {role for role, status in statuses.items() if status == (200, 200)}
    assert (302, 302) == statuses[None]
    assert {(403, 403)} == {statuses[role] for role in {"", *ROLES} - at_least(ACTS["jobs_job", operation])}
    assert 0 == Bulk.objects.count()


def test_a_bulk_action_is_seen_by_viewers_and_stopped_by_operators(people):
    from apps.jobs.selection import Selection
    from apps.jobs.services import bulk
    from core.ids import uuid7

    with audit.acting(audit.SYSTEM):
        begun = bulk.begin("retry", Selection(), reason="r", bulk_id=uuid7())
    address = reverse("admin:jobs_bulk_change", args=[begun.id])

    assert {"", *ROLES} == {role for role, client in people.items() if client.get(address).status_code == 200}
    for role in (None, "", "viewer"):
        people[role].post(address)
        assert Status.QUEUED == factories.row(begun.id).status
    people["operator"].post(address)
    assert Status.CANCELLED == factories.row(begun.id).status
    assert 404 == people["admin"].get(reverse("admin:jobs_bulk_change", args=[uuid.uuid4()])).status_code


@pytest.mark.parametrize("model", sorted(LOOKS))
@pytest.mark.parametrize("route", ["add", "change", "delete", "history"])
def test_no_address_of_a_list_writes_a_row(model, route, people, echo):
    keys = {
        "jobs_job": factories.job(), "jobs_queue": Queue.objects.create(name="q").pk, "jobs_worker": factories.worker(),
        "core_apitoken": tokens.create(name="t", role=Role.VIEWER).row.pk,
    }
    arguments = [] if route == "add" else [keys.get(model, uuid.uuid4() if model in {"jobs_artifact", "jobs_bulk"} else 1)]
    address = reverse(f"admin:{model}_{route}", args=arguments)

    for client in people.values():
        status = client.post(address, {"post": "yes", "name": "x", "type": "x"}).status_code
        assert status in {302, 403, 404, *([200] if route == "history" else [])}   # which shows the same as to a GET
    assert factories.TYPE == Job.objects.get().type
    assert (1, 1) == (Queue.objects.count(), ApiToken.objects.filter(revoked_at=None).count())


def test_every_address_of_the_admin_needs_somebody_who_is_logged_in():
    def addresses(patterns, before=""):
        for pattern in patterns:
            route = before + str(pattern.pattern)
            if isinstance(pattern, URLResolver):
                yield from addresses(pattern.url_patterns, route)
            else:
                yield route

    (root,) = (each for each in get_resolver().url_patterns if getattr(each, "app_name", "") == "admin")
    found = {route for route in addresses(root.url_patterns) if "<" not in route and "(" not in route} - {"login/"}
    statuses = {route: Client().get(f"/admin/{route}").status_code for route in found}

    assert len(found) > 30
    assert {302} == set(statuses.values())


def test_a_token_is_ended_by_an_admin_with_a_reason(people):
    made = tokens.create(name="ci", role=Role.OPERATOR)

    assert ["1 was ended"] == press(people["admin"], "revoke", made.row.pk, model="apitoken", app="core", reason="leaked")

    assert tokens.find(made.token) is None
    assert "leaked" == AuditEntry.objects.filter(action="token.revoke").get().after["reason"]
    assert made.token not in people["admin"].get(reverse("admin:core_apitoken_changelist")).content.decode()


def test_tokens_are_told_apart_by_whether_they_let_somebody_in(people):
    usable, ended = (tokens.create(name=name, role=Role.VIEWER).row for name in ("a", "b"))
    tokens.revoke([ended.prefix])

    def shown(**query):
        answer = people["admin"].get(reverse("admin:core_apitoken_changelist"), query)
        return [row.pk for row in answer.context["cl"].result_list]

    assert [ended.pk, usable.pk] == shown()
    assert [usable.pk] == shown(state="usable")
    assert [ended.pk] == shown(state="ended")
    assert [usable.pk] == shown(q=f"lw_{usable.prefix}")


def test_the_audit_is_found_by_what_was_acted_on_and_by_whom(people):
    job_id = factories.job_in(Status.DEAD_LETTER)
    press(people["operator"], "retry", job_id, reason="why not")

    def shown(**query):
        answer = people["admin"].get(reverse("admin:core_auditentry_changelist"), query)
        return [row.action for row in answer.context["cl"].result_list]

    assert ["job.retry"] == shown(q=str(job_id))
    assert ["job.retry"] == shown(q=f"job:{job_id}", action="job.retry", since="hour")
    assert "job.retry" in shown(action="job.retry")
    text = people["admin"].get(reverse("admin:core_auditentry_changelist")).content.decode()
    assert "?action=job.retry" in text
    assert "?action=job.discard" not in text   # nobody did
    assert [] == shown(q="by:user:0")
    assert [] == shown(q=f"job:{job_id}", before="2001-01-01T00:00")


def test_the_role_is_the_apis(rf):
    request = rf.get("/")
    for role in ROLES:
        request.user = person(role, name=f"{role} again")
        assert [each for each in ROLES if may(request, Role(each))] == list(ROLES[: ROLES.index(role) + 1])
    request.user = person("admin", name="no staff", is_staff=False)
    assert not may(request, Role.VIEWER)


def test_who_may_only_look_at_schedules_cannot_switch_them(people):
    from django.contrib.auth.models import Permission
    from django_celery_beat.models import IntervalSchedule, PeriodicTask

    every = IntervalSchedule.objects.create(every=1, period="hours")
    task = PeriodicTask.objects.create(name="t", task="system.prune", interval=every)
    looker, changer = person("", name="looker"), person("", name="changer")
    for user, names in ((looker, ["view"]), (changer, ["view", "change"])):
        user.user_permissions.set(Permission.objects.filter(codename__in=[f"{name}_periodictask" for name in names]))
    form = {"action": "disable_tasks", "_selected_action": [task.pk], "index": "0"}

    enabled = []
    for user in (looker, changer):
        logged_in(user).post(reverse("admin:django_celery_beat_periodictask_changelist"), form)
        enabled.append(PeriodicTask.objects.get(pk=task.pk).enabled)

    assert [True, False] == enabled


def test_every_list_does_all_that_its_kind_promises():
    pages = {model.__name__: type(each).page for model, each in ours().items()}
    walks = {model.__name__: type(each).walk for model, each in ours().items() if isinstance(each, Walking)}

    assert [] == [name for name, page in pages.items() if page is Looking.page]
    assert [] == [name for name, walk in walks.items() if walk is Walking.walk]
    # Queues are few, and most of them without a row; locks stand elsewhere, and are read by their names.
    assert {"Lock", "Queue"} == set(pages) - set(walks)
