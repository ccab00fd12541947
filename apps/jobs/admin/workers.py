"""Workers: each start of one, with its lease."""

import json
import uuid
from collections.abc import Mapping

from django.contrib import admin
from django.db.models import Q
from django.db.models.functions import Now

from apps.jobs.admin.outside import flower_worker
from apps.jobs.models import Worker
from core import clock
from core.admin.filters import choice
from core.admin.lists import Walking
from core.admin.text import block, list_of
from core.windows import Walk

STATES = [("alive", "alive"), ("silent", "silent: its lease is over"), ("ended", "ended")]
MEANING = {
    "alive": Q(ended_at=None, lease_until__gt=Now()),
    "silent": Q(ended_at=None, lease_until__lte=Now()),
    "ended": Q(ended_at__isnull=False),
}


@admin.register(Worker)
class WorkerAdmin(Walking):
    list_display = ("name", "state", "pool", "slots", "running", "started_at", "seen_at", "lease_until")
    list_filter = (choice("state", "state", lambda: STATES),)
    filters = frozenset({"state"})
    search_fields = ("pk",)   # the box is shown; what it finds, `walk` says
    search_help_text = "The whole name or the whole id of a worker."
    fieldsets = (
        (None, {"fields": ("name", "id", "state", "host", "pid", "pool", "slots", "running", "flower", "metrics_port", "code_version")}),
        ("When", {"fields": ("started_at", "seen_at", "lease_until", "stopping_at", "ended_at", "end_reason")}),
        ("What", {"fields": ("queue_names", "type_versions")}),
    )

    def walk(self, given: Mapping[str, str], text: str) -> Walk[Worker]:
        rows = Worker.objects.all()
        keep = MEANING[given["state"]] if given.get("state") in MEANING else None
        if text:
            try:
                rows = rows.filter(id=uuid.UUID(text))
            except ValueError:
                keep = Q(name=text) & keep if keep is not None else Q(name=text)
        return Walk(sources=[rows], order=self.order, keep=keep)   # ids are in the order of the starts

    def state(self, worker: Worker) -> str:
        """Say how it is, by this machine's clock: to be read, not to decide."""
        if worker.ended_at:
            return f"ended: {worker.end_reason}" if worker.end_reason else "ended"
        if worker.lease_until <= clock.now():
            return "silent"
        return "stopping" if worker.stopping_at else "alive"

    def running(self, worker: Worker) -> str:
        return "-" if worker.ended_at else list_of("jobs_job", "its jobs", worker=worker.id)

    def flower(self, worker: Worker) -> str:
        return flower_worker(worker.name)

    @admin.display(description="queues")
    def queue_names(self, worker: Worker) -> str:
        return ", ".join(worker.queues)

    @admin.display(description="types, with the version of their payloads")
    def type_versions(self, worker: Worker) -> str:
        return block(json.dumps(worker.types, indent=2, ensure_ascii=False))
