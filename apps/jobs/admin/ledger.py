"""The stale ledger: endings that a fence refused."""

from collections.abc import Mapping

from django.contrib import admin
from django.db.models import Q

from apps.jobs.admin.attempts import outcomes, uuid_of
from apps.jobs.models import StaleWrite
from core.admin.filters import Moments, choice, span
from core.admin.lists import Walking
from core.admin.text import page_of
from core.windows import Walk


@admin.register(StaleWrite)
class StaleWriteAdmin(Walking):
    list_display = ("id", "at", "the_job", "fence", "worker", "outcome")
    list_filter = (choice("outcome", "outcome", outcomes), Moments)
    filters = frozenset({"outcome", "after", "before", "since"})
    search_fields = ("pk",)   # the box is shown; what it finds, `walk` says
    search_help_text = "The whole id of a job."
    fields = ("at", "the_job", "fence", "worker", "outcome")
    order = ("at", "id")

    def walk(self, given: Mapping[str, str], text: str) -> Walk[StaleWrite]:
        after, before = span(dict(given))
        times = {"at__gte": after, "at__lt": before}
        rows = StaleWrite.objects.filter(**{name: value for name, value in times.items() if value is not None})
        if text:
            rows = rows.filter(job_id=uuid_of(text))
        keep = Q(outcome=given["outcome"]) if "outcome" in given else None
        return Walk(sources=[rows], order=self.order, keep=keep)

    @admin.display(description="job")
    def the_job(self, write: StaleWrite) -> str:
        return page_of("jobs_job", write.job_id, f"…{str(write.job_id)[-12:]}")

    def worker(self, write: StaleWrite) -> str:
        return page_of("jobs_worker", write.worker_id) if write.worker_id else "-"
