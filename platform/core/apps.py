from typing import Any

from django.apps import AppConfig
from django.apps import apps as installed  # what a flush, which sends none, means
from django.db.models.signals import post_migrate


class CoreConfig(AppConfig):
    """The shared kernel: it knows no other app."""

    name = "core"
    label = "core"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        post_migrate.connect(_make_groups, sender=self)
        from core.audit import watch  # noqa: PLC0415  models are ready only now

        watch.begin()


def _make_groups(using: str, apps: Any = installed, **_: Any) -> None:
    """Make the groups that give roles: whoever manages users finds them in the admin, and nobody has to know a name."""
    from core.api.roles import Role  # noqa: PLC0415  models are ready only now

    try:
        groups = apps.get_model("auth", "Group").objects.using(using)
    except LookupError:   # a migration to before there were groups
        return
    for role in Role:
        groups.get_or_create(name=role.value)
