"""The Celery application: `celery -A config worker`, `beat` and `flower` work unchanged, from any folder."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.local")

app = Celery("latchwork")
app.config_from_object("django.conf:settings", namespace="CELERY")
