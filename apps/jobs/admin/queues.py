"""Queues: those that a type, a row or a job names, with what waits in them, counted no further than anybody reads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar

from django.contrib import admin
from django.db import connection
from django.http import HttpRequest

from apps.jobs import registry, selection, selectors
from apps.jobs import services as jobs
from apps.jobs.errors import NotPaused
from apps.jobs.models import Queue
from core.admin.filters import choice
from core.admin.lists import Looking, Page
from core.admin.operations import Foreseen, Operation
from core.admin.text import list_of
from core.api.roles import Role
from core.windows import by_index

PAUSE = Operation(
    name="pause", label="Pause", needs=Role.OPERATOR, done="paused",
    about="Nothing more is claimed from the queue by any worker. What runs goes on; what is enqueued waits.",
    wants_reason=False,
)
RESUME = Operation(
    name="resume", label="Resume", needs=Role.OPERATOR, done="resumed", about="Workers claim from the queue again, at once.",
    wants_reason=False,
)
MOST_COUNTED = 10_000
STATES = [("paused", "paused"), ("open", "open")]

_LENGTHS = """
SELECT named.queue,
  (SELECT count(*) FROM (
    SELECT FROM job WHERE status = 'queued' AND queue = named.queue
    ORDER BY queue, behind, priority, run_at, id LIMIT %(most)s) ready),
  (SELECT extract(epoch FROM clock_timestamp() - min(oldest.run_at))::float8
   FROM generate_series(0, 9) AS level CROSS JOIN (VALUES (false), (true)) AS line(behind) CROSS JOIN LATERAL (
    SELECT run_at FROM job WHERE status = 'queued' AND queue = named.queue AND behind = line.behind AND priority = level
    ORDER BY run_at LIMIT 1) oldest)
FROM unnest(%(names)s::text[]) AS named(queue)"""
_RUNNING = "SELECT queue, count(*) FROM (SELECT queue FROM job WHERE status = 'running' ORDER BY worker_id LIMIT %(most)s) held GROUP BY queue"


@dataclass(frozen=True, slots=True, kw_only=True)
class Length:
    """How much waits and runs in a queue, up to a limit; the age is that of the oldest job which waits."""

    waiting: int = 0
    running: int = 0
    oldest: timedelta | None = None


def names() -> list[str]:
    known = registry.queues() | set(selectors.queue_names())
    return sorted(known | {queue for _, queue in selection.kinds()})


def lengths(queues: Sequence[str]) -> dict[str, Length]:
    """Return the lengths of these queues: no index is read further than the limit."""
    with by_index(), connection.cursor() as cursor:
        cursor.execute(_RUNNING, {"most": MOST_COUNTED + 1})
        running = dict(cursor.fetchall())
        cursor.execute(_LENGTHS, {"most": MOST_COUNTED + 1, "names": list(queues)})
        return {
            name: Length(
                waiting=waiting, running=running.get(name, 0),
                oldest=timedelta(seconds=max(0, round(seconds))) if seconds is not None else None,
            )
            for name, waiting, seconds in cursor.fetchall()
        }


@admin.register(Queue)
class QueueAdmin(Looking):
    list_display = ("name", "state", "waiting", "running", "oldest", "paused_at", "paused_by", "paused_reason")
    list_filter = (choice("state", "state", lambda: STATES),)
    filters = frozenset({"state"})
    search_fields = ("pk",)   # the box is shown; what it finds, `page` says
    search_help_text = "The whole name of a queue."
    fields = ("name", "state", "waiting", "running", "oldest", "paused_at", "paused_by", "paused_reason", "its_jobs")
    order = ("name",)
    operations: ClassVar = (PAUSE, RESUME)

    def page(self, request: HttpRequest, given: Mapping[str, str], text: str) -> Page:  # noqa: ARG002  as in Looking
        """Return all of them: queues are few, whoever runs them names them."""
        rows = {row.name: row for row in Queue.objects.all()}
        found = [rows.get(name) or Queue(name=name) for name in names() if text in {"", name}]
        if "state" in given:
            found = [row for row in found if (row.paused_at is not None) == (given["state"] == "paused")]
        measured = lengths([row.name for row in found])
        for row in found:
            row.length = measured[row.name]   # type: ignore[attr-defined]  # of this page
        return Page(rows=found)

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Queue | None:
        found = super().get_object(request, object_id, from_field)
        row = found if isinstance(found, Queue) else Queue(name=object_id) if object_id in names() else None
        if row is not None:
            row.length = lengths([row.name])[row.name]   # type: ignore[attr-defined]  # as above
        return row

    def foresee(self, operation: Operation, keys: Sequence[str]) -> Foreseen:
        paused = set(Queue.objects.filter(name__in=keys, paused_at__isnull=False).values_list("name", flat=True))
        known = registry.queues() | set(selectors.queue_names())
        foreseen = Foreseen()
        for key in keys:
            if key not in known:
                foreseen.refused.append((key, "no registered type and no row names it"))
            elif operation is RESUME and key not in paused:
                foreseen.refused.append((key, "it is not paused"))
            else:
                foreseen.agreed.append(key + (", paused already: the reason is replaced" if operation is PAUSE and key in paused else ""))
        return foreseen

    def perform(self, operation: Operation, key: str, *, reason: str, by: str) -> None:
        if operation is PAUSE:
            jobs.pause(key, by=by, reason=reason)
        elif not jobs.resume(key):
            raise NotPaused(key)

    def state(self, queue: Queue) -> str:
        return "paused" if queue.paused_at else "open"

    def waiting(self, queue: Any) -> str:
        count = queue.length.waiting
        shown = f"{count:,}" if count <= MOST_COUNTED else f"more than {MOST_COUNTED:,}"
        return list_of("jobs_job", shown, queue=queue.name, status="queued") if count else "0"

    def running(self, queue: Any) -> str:
        count = queue.length.running
        return list_of("jobs_job", f"{count:,}", queue=queue.name, status="running") if count else "0"

    @admin.display(description="oldest waits for")
    def oldest(self, queue: Any) -> str:
        return str(queue.length.oldest) if queue.length.oldest is not None else "-"

    @admin.display(description="jobs")
    def its_jobs(self, queue: Queue) -> str:
        return list_of("jobs_job", "all jobs of this queue", queue=queue.name)
