from django.apps import AppConfig


class CoreConfig(AppConfig):
    """The shared kernel: it knows no other app."""

    name = "core"
    label = "core"
    default_auto_field = "django.db.models.BigAutoField"
