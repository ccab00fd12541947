from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from core.devserver import provision


class Command(BaseCommand):
    help = "Migrate under an advisory lock, then make the log-in and the API token of this checkout if there are none."
    requires_system_checks = ()

    def handle(self, **_: Any) -> None:
        provision.prepare(data_dir=settings.ENV.DATA_DIR, say=self.stdout.write)
