"""Jobs: found by an index, looked at with all that belongs to them, and acted on through services."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from apps.jobs import registry, selection, selectors
from apps.jobs import services as jobs
from apps.jobs.admin.outside import flower_task
from apps.jobs.errors import JobNotFound
from apps.jobs.lifecycle import ACTIONS, Status
from apps.jobs.models import Artifact, Job, Worker
from apps.jobs.selection import Selection
from apps.jobs.services import roles
from apps.jobs.transitions import insert
from apps.jobs.transitions.statement import on_django
from core.admin.filters import Moments, choice, span
from core.admin.lists import Page, Walking
from core.admin.operations import Foreseen, Operation
from core.admin.text import block, json_block, link, list_of, page_of
from core.api.roles import Role
from core.windows import Walk

OPERATIONS = (
    Operation(
        name="retry", label="Retry", needs=Role.OPERATOR, done="queued again",
        about="A finished job is queued again, with as many attempts more as its type has. Its history stays.",
    ),
    Operation(
        name="cancel", label="Cancel", needs=Role.OPERATOR, done="cancelled, or asked to stop",
        about="A waiting job ends at once. A running one is asked to stop, and is ended if it does not listen.",
    ),
    Operation(
        name="run", label="Run now", needs=Role.OPERATOR, done="made ready",
        about="A job that waits for its time or for its next attempt is ready at once.",
    ),
    Operation(
        name="discard", label="Discard", needs=Role.ADMIN, done="put away",
        about="A dead letter is put away as cancelled. Retention removes it later.",
    ),
)
MOST_ARTIFACTS = 100


def statuses() -> list[tuple[str, str]]:
    return [(status.value, status.label.lower()) for status in Status]


def types() -> list[tuple[str, str]]:
    """Return what is registered here and what jobs have, which the index tells without reading them."""
    return [(name, name) for name in sorted({*registry.names(), *(name for name, _ in selection.kinds())})]


def queues() -> list[tuple[str, str]]:
    known = registry.queues() | set(selectors.queue_names())
    return [(name, name) for name in sorted(known | {queue for _, queue in selection.kinds()})]


def selected(given: Mapping[str, str], text: str = "") -> Selection:
    """Return which jobs a list's parameters mean; raise ValueError for what they cannot mean."""
    after, before = span(dict(given))
    asked: dict[str, Any] = {name: given[name] for name in ("status", "type", "queue", "tag", "worker") if name in given}
    for name, value in _search(text).items():
        if asked.setdefault(name, value) != value:
            msg = f"the list is narrowed to the {name} {asked[name]!r} already, and {value!r} is searched"
            raise ValueError(msg)
    return Selection(**asked, created_after=after, created_before=before)


def _search(text: str) -> dict[str, Any]:
    if not text:
        return {}
    try:
        return {"id": uuid.UUID(text)}
    except ValueError:
        pass
    names = {"key": "unique_key", "tag": "tag", "type": "type_prefix"}
    name, colon, value = text.partition(":")
    if colon and name in names and value:
        return {names[name]: value}
    for guess in ("unique_key", "tag"):
        found = Selection(**{guess: text}).walk(fields=("id", "created_at")).go(limit=1)
        if found.rows:
            return {guess: text}
    return {"type_prefix": text}


@admin.register(Job)
class JobAdmin(Walking):
    list_display = ("name", "type", "status", "queue", "attempts", "created_at", "worker", "labels")
    list_filter = (
        choice("status", "status", statuses), choice("type", "type", types), choice("queue", "queue", queues),
        choice("tag", "tag", list), choice("worker", "worker", list), Moments,
    )
    filters = frozenset({"status", "type", "queue", "tag", "worker", "after", "before", "since"})
    search_fields = ("pk",)   # the box is shown; what it finds, `_search` says
    search_help_text = (
        "A whole id; else a unique key, a tag or the beginning of a type: the first of these that finds anything. "
        "key:…, tag:… and type:… say which. A part of an id, a payload or an error is not searched."
    )
    change_list_template = "jobs/admin/jobs.html"
    order = Selection.ORDER
    fieldsets = (
        (None, {"fields": (
            "id", "type", "status", "why_it_waits", "queue", "priority", "attempts", "progress_text", "labels", "unique_key",
        )}),
        ("When", {"fields": ("created_at", "run_at", "started_at", "finished_at", "cancel_requested_at")}),
        ("Where", {"fields": ("worker", "flower", "earlier", "files", "told", "request_id")}),
        ("What", {"fields": ("payload_text", "result_text", "error_text")}),
        ("Counts", {"fields": (
            "attempt", "failures", "rescues", "max_attempts", "fence", "timeout_seconds", "payload_version", "cron_id",
            "scheduled_for",
        ), "classes": ("collapse",)}),
    )
    operations: ClassVar = OPERATIONS

    def walk(self, given: Mapping[str, str], text: str) -> Walk[Job]:
        return selected(given, text).walk()

    def page(self, request: HttpRequest, given: Mapping[str, str], text: str) -> Page:
        page = super().page(request, given, text)
        names = _worker_names({job.worker_id for job in page.rows if job.worker_id})
        for job in page.rows:
            job.worker_name = names.get(job.worker_id, "")
        return page

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        more = {"operations": self.permitted(request), "bulk_address": reverse("admin:jobs_bulk_begin"), **(extra_context or {})}
        return super().changelist_view(request, more)

    def foresee(self, operation: Operation, keys: Sequence[str]) -> Foreseen:
        found = {job.id: job for job in Job.objects.filter(id__in=_ids(keys)).only("id", "type", "status", "unique_key")}
        taken = {}
        if operation.name == "retry":
            unique = [job.unique_key for job in found.values() if job.unique_key]
            taken = insert.holders(on_django(), keys=unique).get() if unique else {}
        foreseen = Foreseen()
        for job in found.values():
            if job.status not in ACTIONS[operation.name]:
                foreseen.refused.append((str(job), f"it is {job.status}"))
            elif (why := roles.refusal(operation.name, job)) is not None:
                foreseen.refused.append((str(job), str(why)))
            elif job.unique_key in taken:
                foreseen.refused.append((str(job), f"job {taken[job.unique_key]} has its unique key now"))
            else:
                foreseen.agreed.append(f"{job}, {job.status}")
        foreseen.refused.extend((key, "there is no such job") for key in keys if not set(_ids([key])) & set(found))
        return foreseen

    def perform(self, operation: Operation, key: str, *, reason: str, by: str) -> None:
        job_id = next(iter(_ids([key])), None)
        if job_id is None:
            raise JobNotFound(key)
        match operation.name:
            case "retry":
                jobs.retry(job_id)
            case "cancel":
                jobs.cancel(job_id, reason=f"cancelled by {by}: {reason}")
            case "run":
                jobs.run(job_id)
            case "discard":
                jobs.discard(job_id)

    @admin.display(description="job")
    def name(self, job: Job) -> str:
        return f"…{str(job.id)[-12:]}"   # the beginning is the time, alike for many

    def attempts(self, job: Job) -> str:
        return f"{job.attempt} of {job.max_attempts}"

    @admin.display(description="tags")
    def labels(self, job: Job) -> str:
        return ", ".join(job.tags) or "-"

    def worker(self, job: Any) -> str:
        if not job.worker_id:
            return "-"
        name = getattr(job, "worker_name", None)
        if name is None:   # on its own page
            name = _worker_names({job.worker_id}).get(job.worker_id, "")
        return page_of("jobs_worker", job.worker_id, name) if name else f"{job.worker_id} (gone)"

    def why_it_waits(self, job: Job) -> str:
        return selectors.why_waiting(job) or "-"

    def flower(self, job: Job) -> str:
        return flower_task(job.id)

    @admin.display(description="attempts")
    def earlier(self, job: Job) -> str:
        return list_of("jobs_jobattempt", "earlier attempts; the latest stands here", job=job.id)

    @admin.display(description="artifacts")
    def files(self, job: Job) -> str:
        found = Artifact.objects.filter(job_id=job.id)[: MOST_ARTIFACTS + 1].count()
        return list_of("jobs_artifact", f"{found} files" if found != 1 else "1 file", job=job.id) if found else "-"

    @admin.display(description="audit")
    def told(self, job: Job) -> str:
        return link(f"{reverse('admin:core_auditentry_changelist')}?q=job:{job.id}", "who did what to it (admins)")

    @admin.display(description="progress")
    def progress_text(self, job: Job) -> str:
        return json_block(job.progress)

    @admin.display(description="payload")
    def payload_text(self, job: Job) -> str:
        return json_block(job.shown_payload)

    @admin.display(description="result")
    def result_text(self, job: Job) -> str:
        return json_block(job.result)

    @admin.display(description="error")
    def error_text(self, job: Job) -> str:
        return error_block(job.error)


def error_block(error: dict[str, Any] | None) -> str:
    """Return an error as its sentence, and the traceback as it was written."""
    if not isinstance(error, dict):
        return json_block(error)
    told = f"{error.get('class', '')}: {error.get('message', '')}\n{error.get('traceback') or ''}"
    return block(told.strip())


def _worker_names(ids: set[uuid.UUID]) -> dict[uuid.UUID, str]:
    return dict(Worker.objects.filter(id__in=ids).values_list("id", "name")) if ids else {}


def _ids(keys: Sequence[str]) -> list[uuid.UUID]:
    found = []
    for key in keys:
        try:
            found.append(uuid.UUID(key))
        except ValueError:
            continue
    return found
