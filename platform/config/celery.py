"""The Celery application: `celery -A config worker`, `beat` and `flower` work unchanged, from any folder."""

import os

from celery import Celery
from celery.signals import setup_logging

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.local")

app = Celery("latchwork")
app.config_from_object("django.conf:settings", namespace="CELERY")


@setup_logging.connect
def keep_our_logging(**_: object) -> None:
    """Leave logging as the settings made it: with a receiver, Celery adds no handlers and redirects no output."""
