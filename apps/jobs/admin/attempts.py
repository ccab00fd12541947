"""Attempts that their jobs have moved on from."""

import uuid
from collections.abc import Mapping
from typing import Any

from django.contrib import admin
from django.db.models import Q

from apps.jobs.admin.jobs import error_block
from apps.jobs.lifecycle import AttemptOutcome
from apps.jobs.models import JobAttempt
from core.admin.filters import choice
from core.admin.lists import Walking
from core.admin.text import page_of
from core.windows import Walk

ERROR_CHARACTERS = 120


def outcomes() -> list[tuple[str, str]]:
    return [(outcome.value, outcome.label.lower()) for outcome in AttemptOutcome]


@admin.register(JobAttempt)
class AttemptAdmin(Walking):
    list_display = ("id", "the_job", "number", "outcome", "what", "started_at", "finished_at")
    list_filter = (choice("outcome", "outcome", outcomes), choice("job", "job", list))
    filters = frozenset({"outcome", "job"})
    search_fields = ("pk",)   # the box is shown; what it finds, `walk` says
    search_help_text = "The whole id of a job."
    fields = ("the_job", "number", "fence", "worker", "lock_token", "outcome", "error_text", "started_at", "finished_at")

    def walk(self, given: Mapping[str, str], text: str) -> Walk[JobAttempt]:
        rows = JobAttempt.objects.all()
        wanted = text or given.get("job", "")
        if wanted:
            rows = rows.filter(job_id=uuid_of(wanted))
        keep = Q(outcome=given["outcome"]) if "outcome" in given else None
        return Walk(sources=[rows], order=self.order, keep=keep)

    @admin.display(description="job")
    def the_job(self, attempt: JobAttempt) -> str:
        return page_of("jobs_job", attempt.job_id, f"…{str(attempt.job_id)[-12:]}")

    def worker(self, attempt: JobAttempt) -> str:
        return page_of("jobs_worker", attempt.worker_id) if attempt.worker_id else "-"

    @admin.display(description="error")
    def what(self, attempt: JobAttempt) -> str:
        error: Any = attempt.error
        told = f"{error.get('class', '')}: {error.get('message', '')}" if isinstance(error, dict) else ""
        return f"{told[:ERROR_CHARACTERS]}…" if len(told) > ERROR_CHARACTERS else told or "-"

    @admin.display(description="error")
    def error_text(self, attempt: JobAttempt) -> str:
        return error_block(attempt.error)


def uuid_of(text: str) -> uuid.UUID:
    """Return the id that a text is; raise ValueError that says so otherwise."""
    try:
        return uuid.UUID(text)
    except ValueError:
        msg = f"{text!r} is not a whole id"
        raise ValueError(msg) from None
