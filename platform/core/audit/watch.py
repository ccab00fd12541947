"""Changes that Django's own admin makes: of users, groups and periodic tasks, which no service of ours writes.

Told when somebody acts who came through the web. What the platform itself saves, such as beat's `last_run_at` or the
groups that `migrate` makes, is nobody's action.
"""

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from django.apps import apps
from django.db.models import Model
from django.db.models.signals import m2m_changed, post_delete, post_save, pre_save
from django.http import HttpRequest

from core.audit.actor import current
from core.audit.recording import changed, record

WATCHED = (
    "auth.User", "auth.Group", "django_celery_beat.PeriodicTask", "django_celery_beat.CrontabSchedule",
    "django_celery_beat.IntervalSchedule", "django_celery_beat.ClockedSchedule", "django_celery_beat.SolarSchedule",
)   # fmt: skip
PASSING = frozenset({"last_login", "last_run_at", "total_run_count", "date_changed"})   # written by use, not by a decision
BEFORE = "_audit_before"


def begin() -> None:
    """Watch the models that are installed; call it once, when they are ready."""
    for label in WATCHED:
        with suppress(LookupError):
            model = apps.get_model(label)
            pre_save.connect(_note, sender=model)
            post_save.connect(_saved, sender=model)
            post_delete.connect(_deleted, sender=model)
            for relation in model._meta.many_to_many:  # noqa: SLF001  Django's public name for it
                m2m_changed.connect(_related, sender=getattr(model, relation.name).through)


def tell_of_action(request: HttpRequest) -> None:
    """Tell of an action on chosen rows of a watched list, after it was done: it may write by a statement, without a signal."""
    match = request.resolver_match
    lists = {f"{label.lower().replace('.', '_')}_changelist" for label in WATCHED}
    if request.method != "POST" or match is None or match.app_name != "admin" or match.url_name not in lists:
        return
    action = next((each for each in request.POST.getlist("action") if each), "")
    keys = request.POST.getlist("_selected_action")
    if action and keys and action != "delete_selected":   # a deletion is told row by row
        name = match.url_name.removesuffix("_changelist").rpartition("_")[2]
        record(action=f"{name}.{action}", target=f"{name}:{keys[0]}", after={"keys": keys})


def _watching() -> bool:
    return current().channel in {"admin", "api"}


def _note(sender: type[Model], instance: Model, **_: Any) -> None:
    if _watching():
        row = sender._default_manager.filter(pk=instance.pk).first()  # noqa: SLF001  Django's public name for it
        setattr(instance, BEFORE, _facts(row) if row else None)


def _saved(sender: type[Model], instance: Model, **_: Any) -> None:
    if not _watching():
        return
    was = getattr(instance, BEFORE, None)
    name = sender._meta.model_name or ""  # noqa: SLF001  Django's public name for it
    before, after = changed(was or {}, _facts(instance))
    if after:
        record(
            action=f"{name}.{'change' if was else 'create'}", target=f"{name}:{instance.pk}",
            before=before if was else None, after=after,
        )


def _deleted(sender: type[Model], instance: Model, **_: Any) -> None:
    if _watching():
        name = sender._meta.model_name  # noqa: SLF001  Django's public name for it
        record(action=f"{name}.delete", target=f"{name}:{instance.pk}", before=_facts(instance))


def _related(sender: type[Model], instance: Model, action: str, pk_set: Iterable[Any] | None, **_: Any) -> None:
    what = action.removeprefix("post_")
    if _watching() and what in {"add", "remove", "clear"}:
        name = instance._meta.model_name  # noqa: SLF001  Django's public name for it
        relation = sender._meta.object_name  # noqa: SLF001  as above
        record(
            action=f"{name}.{what}", target=f"{name}:{instance.pk}",
            after={"relation": relation, "keys": sorted(map(str, pk_set or ()))},
        )


def _facts(row: Model) -> dict[str, Any]:
    names = [field.attname for field in row._meta.concrete_fields]  # noqa: SLF001  Django's public name for it
    return {name: getattr(row, name) for name in names if name not in PASSING}
