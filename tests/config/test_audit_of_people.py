"""What Django's own admin changes, users and periodic tasks, is told to the audit as well."""

import pytest
from django.contrib.auth.models import Group, User
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from core.audit.models import AuditEntry
from tests.support.people import logged_in, person

pytestmark = pytest.mark.django_db


@pytest.fixture
def root():
    return logged_in(User.objects.create_superuser("root"))


def told():
    return [(entry.action, entry.target, entry.before, entry.after) for entry in AuditEntry.objects.order_by("id")]


def form(user, **changes):
    groups = [str(group.pk) for group in user.groups.all()]
    plain = {
        "username": user.username, "email": user.email, "is_active": "on", "date_joined_0": "2030-01-31",
        "date_joined_1": "09:00:00", "groups": groups,
    }   # fmt: skip
    return {**plain, **changes}


def test_whoever_makes_a_superuser_of_somebody_is_told_with_what_was_before(root):
    user = person(name="ann")
    User.objects.filter(pk=user.pk).update(date_joined="2030-01-31T09:00:00Z", is_staff=False)

    answer = root.post(f"/admin/auth/user/{user.pk}/change/", form(user, is_superuser="on"))

    entry = AuditEntry.objects.get(action="user.change")
    assert answer.status_code == 302
    assert (entry.target, entry.before, entry.after) == (f"user:{user.pk}", {"is_superuser": False}, {"is_superuser": True})
    assert (entry.actor_name, entry.channel, entry.address) == ("root", "admin", "127.0.0.1")


def test_a_role_that_is_given_by_a_group_is_told(root):
    user, group = person(name="ann"), Group.objects.get_or_create(name="operator")[0]
    User.objects.filter(pk=user.pk).update(date_joined="2030-01-31T09:00:00Z", is_staff=False)

    root.post(f"/admin/auth/user/{user.pk}/change/", form(user, groups=[str(group.pk)]))

    assert told() == [("user.add", f"user:{user.pk}", None, {"relation": "User_groups", "keys": [str(group.pk)]})]


def test_a_password_is_told_to_have_changed_and_never_what_it_is(root):
    user = person(name="ann")

    root.post(f"/admin/auth/user/{user.pk}/password/", {
        "password1": "a-long-enough-1", "password2": "a-long-enough-1", "usable_password": "true",
    })

    assert told() == [("user.change", f"user:{user.pk}", {"password": "(hidden)"}, {"password": "(hidden)"})]


def test_a_user_that_is_deleted_is_told(root):
    user = person(name="ann")

    root.post(f"/admin/auth/user/{user.pk}/delete/", {"post": "yes"})

    [(action, target, before, after)] = told()
    assert (action, target, before["username"], before["password"], after) == (
        "user.delete", f"user:{user.pk}", "ann", "(hidden)", None,
    )


def test_a_periodic_task_that_is_switched_off_is_told_and_what_beat_writes_is_not(root):
    every = IntervalSchedule.objects.create(every=1, period="days")
    task = PeriodicTask.objects.create(name="t", task="http.request", interval=every)
    task.total_run_count = 7
    task.save()

    root.post("/admin/django_celery_beat/periodictask/", {
        "action": "disable_tasks", "_selected_action": [str(task.pk)],
    })

    assert PeriodicTask.objects.get(pk=task.pk).enabled is False
    assert told() == [("periodictask.disable_tasks", f"periodictask:{task.pk}", None, {"keys": [str(task.pk)]})]


def test_an_action_that_was_not_allowed_is_not_told():
    task = PeriodicTask.objects.create(name="t", task="http.request", interval=IntervalSchedule.objects.create(every=1, period="days"))

    answer = logged_in(person("viewer")).post("/admin/django_celery_beat/periodictask/", {
        "action": "disable_tasks", "_selected_action": [str(task.pk)],
    })

    assert (answer.status_code, told()) == (403, [])
