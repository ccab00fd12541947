"""Django's admin over the rows: to look, and to do what a person may do. Rows are written by services alone.

Nothing here counts a table or sorts without an index: there may be millions of jobs.
"""

import uuid
from collections.abc import Callable
from typing import Any, ClassVar, cast

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.db.models import Model, OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from django.utils.functional import cached_property
from django.utils.translation import ngettext

from apps.jobs import registry, selectors
from apps.jobs import services as jobs
from apps.jobs.models import Job, JobAttempt, Queue, StaleWrite, Worker
from core.api.roles import Role
from core.errors import PlatformError

MOST_PAGES = 10


class FirstPages(Paginator):  # type: ignore[type-arg]  # Django has no generics at run time
    """The first pages of a list of any length: it looks for as many rows as it can show, and never counts."""

    @cached_property
    def count(self) -> int:
        """Return how many rows there are to page through."""
        rows = cast("QuerySet[Any]", self.object_list)
        return len(rows.values_list("pk")[: MOST_PAGES * self.per_page])


class AsOrdered(ChangeList):
    """The order that has an index, whatever the address bar asks for."""

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[Any]:  # noqa: ARG002  Django's interface
        return list(self.model_admin.get_ordering(request))


class Looking(admin.ModelAdmin):  # type: ignore[type-arg]  # as above
    """Rows to look at: whoever may enter the admin is staff, and staff may see."""

    paginator = FirstPages
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 100
    list_max_show_all = 0
    sortable_by = ()
    actions_on_bottom = True

    def get_changelist(self, request: HttpRequest, **_: Any) -> type[ChangeList]:  # noqa: ARG002  Django's interface
        return AsOrdered

    def has_module_permission(self, request: HttpRequest) -> bool:
        return _role(request).covers(Role.OPERATOR)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:  # noqa: ARG002  Django's interface
        return self.has_module_permission(request)

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:  # noqa: ARG002  as above
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:  # noqa: ARG002  as above
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:  # noqa: ARG002  as above
        return False

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Say who may retry, cancel, run and pause: the roles of the API."""
        return _role(request).covers(Role.OPERATOR)

    def has_discard_permission(self, request: HttpRequest) -> bool:
        """Say who may put dead letters away."""
        return _role(request).covers(Role.ADMIN)

    def do(self, request: HttpRequest, chosen: QuerySet[Any], act: Callable[[Any], object], *, done: str) -> None:
        """Do something to each, up to as many as can be shown, and tell what was done and what was refused."""
        keys = list(chosen.values_list("pk", flat=True)[: MOST_PAGES * self.list_per_page + 1])
        if len(keys) > MOST_PAGES * self.list_per_page:
            keys.pop()
            self.message_user(request, f"There were more: the first {len(keys)} were taken.", messages.WARNING)
        agreed = 0
        for name in keys:
            try:
                act(name)
            except PlatformError as exc:
                self.message_user(request, str(exc), messages.ERROR)
            else:
                agreed += 1
        if agreed:
            self.message_user(request, ngettext("%d was ", "%d were ", agreed) % agreed + done, messages.SUCCESS)


class ById(Looking):
    """Found by the whole id and by nothing else: anything else would read the table."""

    search_fields = ("pk",)   # the box is shown; what it finds, `get_search_results` says
    search_help_text = "The whole id of a job."
    id_field: ClassVar[str] = "id"

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str,
    ) -> tuple[QuerySet[Any], bool]:
        if not search_term:
            return queryset, False
        try:
            wanted = uuid.UUID(search_term.strip())
        except ValueError:
            self.message_user(request, f"{search_term!r} is not the whole id of a job", messages.WARNING)
            return queryset.none(), False
        return queryset.filter(**{self.id_field: wanted}), False


class ByType(admin.SimpleListFilter):
    title = parameter_name = "type"

    def lookups(self, request: HttpRequest, model_admin: "admin.ModelAdmin[Any]") -> list[tuple[str, str]]:  # noqa: ARG002  Django's interface
        return [(name, name) for name in registry.names()]   # not the values in the table: that would read all of it

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:  # noqa: ARG002  as above
        return queryset.filter(type=self.value()) if self.value() else queryset


class ByQueue(admin.SimpleListFilter):
    title = parameter_name = "queue"

    def lookups(self, request: HttpRequest, model_admin: "admin.ModelAdmin[Any]") -> list[tuple[str, str]]:  # noqa: ARG002  as above
        return [(name, name) for name in sorted(registry.queues() | set(selectors.queue_names()))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:  # noqa: ARG002  as above
        return queryset.filter(queue=self.value()) if self.value() else queryset


class Attempts(admin.TabularInline):  # type: ignore[type-arg]  # as above
    model = JobAttempt
    verbose_name_plural = "earlier attempts; the latest stands on the job"
    fields = readonly_fields = ("number", "fence", "worker_id", "outcome", "error", "started_at", "finished_at")
    ordering = ("fence",)
    extra = 0
    can_delete = False

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:  # noqa: ARG002  as above
        return True   # whoever sees the job

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:  # noqa: ARG002  as above
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:  # noqa: ARG002  as above
        return False


@admin.register(Job)
class JobAdmin(ById):
    list_display = ("id", "type", "status", "queue", "priority", "attempt", "run_at", "worker")
    list_filter = ("status", ByType, ByQueue)
    ordering = ("-created_at", "-id")
    inlines = (Attempts,)
    actions = ("retry", "cancel", "run", "discard")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Job]:
        name = Worker.objects.filter(id=OuterRef("worker_id")).values("name")
        rows: QuerySet[Job] = super().get_queryset(request)
        return rows.annotate(worker_name=Subquery(name))

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:  # noqa: ARG002  as above
        return [*(field.name for field in Job._meta.fields), "worker", "why_it_waits"]  # noqa: SLF001  Django's documented way

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return self.get_fields(request, obj)

    def worker(self, job: Any) -> str:
        return job.worker_name or "-"

    def why_it_waits(self, job: Job) -> str:
        return selectors.why_waiting(job) or "-"

    @admin.action(description="Retry", permissions=["operate"])
    def retry(self, request: HttpRequest, chosen: QuerySet[Job]) -> None:
        self.do(request, chosen, jobs.retry, done="queued again")

    @admin.action(description="Cancel", permissions=["operate"])
    def cancel(self, request: HttpRequest, chosen: QuerySet[Job]) -> None:
        def cancel(job_id: uuid.UUID) -> None:
            jobs.cancel(job_id, reason=f"cancelled by {request.user.get_username()}")

        self.do(request, chosen, cancel, done="cancelled, or asked to stop")

    @admin.action(description="Run now", permissions=["operate"])
    def run(self, request: HttpRequest, chosen: QuerySet[Job]) -> None:
        self.do(request, chosen, jobs.run, done="made ready")

    @admin.action(description="Discard dead letters", permissions=["discard"])
    def discard(self, request: HttpRequest, chosen: QuerySet[Job]) -> None:
        self.do(request, chosen, jobs.discard, done="put away")


@admin.register(Queue)
class QueueAdmin(Looking):
    list_display = ("name", "paused_at", "paused_by", "paused_reason")
    ordering = ("name",)
    actions = ("pause", "resume")

    @admin.action(description="Pause", permissions=["operate"])
    def pause(self, request: HttpRequest, chosen: QuerySet[Queue]) -> None:
        def pause(name: str) -> None:
            jobs.pause(name, by=request.user.get_username(), reason="in the admin")

        self.do(request, chosen, pause, done="paused")

    @admin.action(description="Resume", permissions=["operate"])
    def resume(self, request: HttpRequest, chosen: QuerySet[Queue]) -> None:
        self.do(request, chosen, jobs.resume, done="resumed")


@admin.register(Worker)
class WorkerAdmin(Looking):
    list_display = ("name", "pool", "slots", "started_at", "seen_at", "lease_until", "stopping_at", "ended_at", "end_reason")
    list_filter = (("ended_at", admin.EmptyFieldListFilter),)
    ordering = ("-started_at", "-id")


@admin.register(StaleWrite)
class StaleWriteAdmin(ById):
    list_display = ("at", "job_id", "fence", "worker_id", "outcome")
    ordering = ("-at", "-id")
    id_field = "job_id"


def _role(request: HttpRequest) -> Role:
    from core.api.authentication import role_of  # noqa: PLC0415  every process loads the admin, few the HTTP interface

    return role_of(request.user) if request.user.is_active and request.user.is_staff else Role.VIEWER

