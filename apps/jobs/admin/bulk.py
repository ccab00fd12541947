"""Actions on all jobs that match: the page that asks, and the page that shows how far the job of one is."""

import uuid
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.contrib import admin, messages
from django.core import signing
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from apps.jobs import selectors
from apps.jobs import services as jobs
from apps.jobs.admin.jobs import OPERATIONS, selected
from apps.jobs.errors import JobError
from apps.jobs.lifecycle import ACTIONS, UNFINISHED
from apps.jobs.models import Bulk, Job
from apps.jobs.selection import Selection
from apps.jobs.services import bulk, roles
from core import audit, read_only
from core.admin.lists import Walking, reason_of
from core.admin.operations import Operation, confirmation
from core.admin.roles import may
from core.admin.text import page_of
from core.api.roles import Role
from core.audit import LONGEST_REASON
from core.ids import uuid7
from core.windows import Tally, Walk

SALT = "jobs.admin.bulk"
NOTHING = "every job there is"


@admin.register(Bulk)
class BulkAdmin(Walking):
    list_display = ("created_at", "action", "who", "matching", "done", "refused", "total", "ended_at")
    list_display_links = ("created_at",)

    def walk(self, given: Mapping[str, str], text: str) -> Walk[Bulk]:  # noqa: ARG002  few: people begin them one by one
        return Walk(sources=[Bulk.objects.all()], order=self.order)

    def who(self, row: Bulk) -> str:
        return _name(row)

    def matching(self, row: Bulk) -> str:
        return told(Selection.model_validate(row.selection))

    def get_urls(self) -> list[URLPattern]:
        begin = path("begin/", self.admin_site.admin_view(self.begin), name="jobs_bulk_begin")
        return [begin, *super().get_urls()]

    def begin(self, request: HttpRequest) -> HttpResponse:
        """Say what an action on all that match would do, and begin it once that is confirmed with a reason."""
        given = {**request.GET.dict(), **request.POST.dict()}
        operation = next((each for each in OPERATIONS if each.name == given.get("action")), None)
        if not may(request, operation.needs if operation else Role.OPERATOR):
            raise PermissionDenied
        back = reverse("admin:jobs_job_changelist")
        try:
            selection = selected({name: value for name, value in given.items() if value}, given.get("q", "").strip())
        except ValueError as exc:
            messages.warning(request, reason_of(exc))
            return HttpResponseRedirect(back)
        if operation is None:
            messages.warning(request, "Choose what to do. Nothing was changed.")
            return HttpResponseRedirect(back)
        reason = given.get("reason", "").strip()
        key = _key(request, given.get("key", ""))
        if request.method == "POST" and key and reason and len(reason) <= LONGEST_REASON:
            return self._begun(request, operation, selection, reason=reason, bulk_id=key)
        return self._foretell(request, operation, selection, wanting=request.method == "POST")

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None,  # noqa: ARG002  Django's interface
    ) -> HttpResponse:
        """Show how far it is; a POST stops it."""
        if not may(request, Role.VIEWER):
            raise PermissionDenied
        try:
            row = bulk.find(uuid.UUID(object_id))
        except (ValueError, JobError) as exc:
            raise Http404 from exc
        if request.method == "POST":
            return self._stop(request, row)
        return self._progress(request, row)

    def _foretell(self, request: HttpRequest, operation: Operation, selection: Selection, *, wanting: bool) -> HttpResponse:
        tally, closed = bulk.foresee(selection), bulk.foresee_closed(selection)
        allowed = ACTIONS[operation.name]
        agreed, of_others = (sum(counts[status] for status in allowed if status in counts) for counts in (tally.counts, closed))
        refused = {status: count for status, count in sorted(tally.counts.items()) if status not in allowed}
        facts = [
            ("All that match", told(selection)),
            (f"Would be {operation.done}", _count(max(0, agreed - of_others), tally)),
            *([("Would be refused: a type that needs another role", _count(of_others, tally))] if of_others else []),
            *((f"Would be refused: {status}", _count(count, tally)) for status, count in refused.items()),
        ]
        key = signing.dumps([str(uuid7()), request.user.pk], salt=SALT)
        asked = {name: value for name, value in selection.facts().items() if name in PARAMETERS}
        hidden = [("action", operation.name), ("key", key), *_parameters(selection, asked)]
        about = f"{operation.about} It is done by a job in the background, which can be stopped; jobs made from now on are left alone."
        return confirmation(
            request, self, operation=operation, hidden=hidden, wanting=wanting, back=reverse("admin:jobs_job_changelist"),
            facts=facts, about=about,
        )

    def _begun(
        self, request: HttpRequest, operation: Operation, selection: Selection, *, reason: str, bulk_id: uuid.UUID,
    ) -> HttpResponse:
        read_only.refuse()
        try:
            begun = bulk.begin(operation.name, selection, reason=reason, bulk_id=bulk_id)
        except JobError as exc:
            messages.error(request, f"Nothing was begun: {exc}")
            return HttpResponseRedirect(reverse("admin:jobs_job_changelist"))
        if not begun.created:
            messages.info(request, "This was begun already, and is under way.")
        return HttpResponseRedirect(reverse("admin:jobs_bulk_change", args=[begun.id]))

    def _stop(self, request: HttpRequest, row: Bulk) -> HttpResponse:
        if not may(request, Role.OPERATOR):
            raise PermissionDenied
        by = request.user.get_username()
        try:
            read_only.refuse()
            with audit.because(f"stopped in the admin by {by}"):
                jobs.cancel(row.id, reason=f"stopped by {by}")
        except JobError as exc:
            messages.error(request, str(exc))
        return HttpResponseRedirect(request.get_full_path())

    def _progress(self, request: HttpRequest, row: Bulk) -> HttpResponse:
        job = Job.objects.filter(id=row.id).first()
        at_work = job is not None and job.status in UNFINISHED
        may_stop = job is not None and at_work and may(request, Role.OPERATOR) and roles.refusal("cancel", job) is None
        context = {
            **self.admin_site.each_context(request), "opts": self.opts, "media": self.media, "row": row, "job": job,
            "title": f"{row.action.capitalize()} all that match", "who": _name(row), "at_work": at_work,
            "matching": told(Selection.model_validate(row.selection)), "behind": row.done + row.refused,
            "why_waiting": selectors.why_waiting(job) if job else "", "may_stop": may_stop,
            "stopping": at_work and job is not None and job.cancel_requested_at is not None,
            "job_page": page_of("jobs_job", row.id, "its job") if job else "",
        }
        return TemplateResponse(request, "jobs/admin/bulk.html", context)


PARAMETERS = {"status", "type", "queue", "tag", "worker"}


def told(selection: Selection) -> str:
    """Return a filter as a line."""
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in selection.facts().items()) or NOTHING


def _parameters(selection: Selection, asked: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the fields that make the same selection again, with its moments as they are now."""
    found = [(name, str(value)) for name, value in asked.items()]
    for name, moment in (("after", selection.created_after), ("before", selection.created_before)):
        if moment is not None:
            found.append((name, moment.isoformat()))
    searched = {"key": selection.unique_key, "type": selection.type_prefix}
    if selection.id is not None:
        found.append(("q", str(selection.id)))
    found.extend(("q", f"{name}:{value}") for name, value in searched.items() if value is not None)
    return found


def _count(count: int, tally: Tally) -> str:
    return f"{count:,}" if tally.complete else f"{count:,} or more: counting was ended"


def _name(row: Bulk) -> str:
    return str(row.actor.get("name") or row.actor.get("key", "-"))


def _key(request: HttpRequest, text: str) -> uuid.UUID | None:
    """Return the id that the page of this user has made for its job."""
    try:
        key, user = signing.loads(text, salt=SALT, max_age=timedelta(days=1))
    except signing.BadSignature:
        return None
    return uuid.UUID(key) if user == request.user.pk else None
