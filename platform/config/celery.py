"""The Celery application: `celery -A config worker`, `beat` and `flower` work unchanged, from any folder."""

import os
import sys
from typing import Any

import django
from celery import Celery
from celery.signals import celeryd_init, import_modules, setup_logging

from core.errors import Misconfigured

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.local")
# Django's checks load every view and serializer, a third of what a worker would hold; `manage.py check` runs them.
os.environ.setdefault("CELERY_SKIP_CHECKS", "1")

app = Celery("latchwork")
app.config_from_object("django.conf:settings", namespace="CELERY")


@setup_logging.connect
def keep_our_logging(**_: object) -> None:
    """Leave logging as the settings made it: with a receiver, Celery adds no handlers and redirects no output."""


@import_modules.connect
def register_jobs(**_: object) -> None:
    """Make each job type a Celery task, once Django and with it the types are loaded."""
    django.setup()
    from apps.jobs.engine import steps  # noqa: PLC0415  needs Django's apps
    from apps.jobs.scheduling.understudy import Understudy  # noqa: PLC0415  as above

    steps.install(app, companions=[lambda until: Understudy().run(until)])


@celeryd_init.connect
def choose_queues(options: dict[str, Any], **_: object) -> None:
    """Let a worker without -Q serve every queue."""
    from apps.jobs.engine import steps  # noqa: PLC0415  needs Django's apps

    try:
        steps.choose_queues(app, options)
    except Misconfigured as exc:   # Celery would log what a receiver raises, and start all the same
        sys.exit(str(exc))
