"""Which jobs somebody means: the filter of the admin's list and of bulk actions, and the indexes that answer it.

Every filter is read in the order of an index, in steps of bounded cost (`core.windows`), so that it is answered as fast
among millions of jobs as among ten. Which index leads is decided here and not by statistics, which may be old.
"""

import hashlib
import json
import uuid
from collections.abc import Iterable
from datetime import datetime
from typing import Any, ClassVar

import pydantic
from django.db import connection
from django.db.models import Q, QuerySet

from apps.jobs.lifecycle import Status
from apps.jobs.models import UNUSUAL, Job
from core.windows import Walk, by_index

FEW = 2_000         # so many rows are sorted rather than read in order
NEWEST, OFTEN = 2_000, 20   # a tag that one of twenty new jobs has is common
MOST_KINDS = 200    # pairs of type and queue that one list merges
LIGHT = (
    "id", "type", "queue", "priority", "status", "attempt", "max_attempts", "run_at", "created_at", "started_at",
    "finished_at", "worker_id", "unique_key", "tags",
)   # of a list: payloads, results and errors may be large

_KINDS = """
WITH RECURSIVE kind AS (
  (SELECT type, queue FROM job ORDER BY type, queue LIMIT 1)
  UNION ALL
  SELECT following.type, following.queue FROM kind CROSS JOIN LATERAL (
    SELECT type, queue FROM job WHERE (type, queue) > (kind.type, kind.queue) ORDER BY type, queue LIMIT 1) following)
SELECT type, queue FROM kind LIMIT 1000"""


class Selection(pydantic.BaseModel):
    """Jobs that are all of this; what is left out is left open."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    id: uuid.UUID | None = None
    status: Status | None = None
    type: str | None = pydantic.Field(None, max_length=200)
    type_prefix: str | None = pydantic.Field(None, max_length=200)
    queue: str | None = pydantic.Field(None, max_length=200)
    tag: str | None = pydantic.Field(None, max_length=200)
    unique_key: str | None = pydantic.Field(None, max_length=1_000)
    worker: uuid.UUID | None = None
    """Which worker runs them now."""
    created_after: pydantic.AwareDatetime | None = None
    """That moment and later."""
    created_before: pydantic.AwareDatetime | None = None

    ORDER: ClassVar[tuple[str, ...]] = ("created_at", "id")

    @pydantic.field_validator("type", "type_prefix", "queue", "tag", "unique_key")
    @classmethod
    def _storable(cls, value: str | None) -> str | None:
        if value is not None and "\0" in value:
            msg = "holds a NUL character, which no job has"
            raise ValueError(msg)
        return value

    def before(self, moment: datetime) -> "Selection":
        """Return the same without what is younger than a moment."""
        bound = min(moment, self.created_before) if self.created_before else moment
        return self.model_copy(update={"created_before": bound})

    def facts(self) -> dict[str, Any]:
        """Return what is asked for, as JSON."""
        return self.model_dump(mode="json", exclude_none=True)

    def digest(self) -> str:
        """Return the same short text for the same question."""
        return hashlib.sha256(json.dumps(self.facts(), sort_keys=True).encode()).hexdigest()[:32]

    def walk(self, *, newest_first: bool = True, fields: Iterable[str] = LIGHT) -> Walk[Job]:
        """Return how these jobs are read: parts of the table that an index has in order, and what is looked for in them."""
        sources, known = self._sources()
        rest = {name: value for name, value in self._wanted().items() if name not in known}
        keep = Q(**rest) if rest else None
        rows = [self._within(source).only(*fields) for source in sources]
        return Walk(sources=rows, order=self.ORDER, keep=keep, newest_first=newest_first)

    def _sources(self) -> tuple[list[QuerySet[Job]], set[str]]:
        """Return the parts, and which conditions they have answered already."""
        everything = set(self._wanted())
        if self.id is not None:
            return [Job.objects.filter(**self._wanted())], everything
        if self.unique_key is not None:
            return [Job.objects.filter(unique_key=self.unique_key)], {"unique_key"}
        few = self._few()
        if few is not None:
            return [Job.objects.filter(id__in=few, **self._wanted())], everything
        if self.status in UNUSUAL:
            return [Job.objects.filter(status=self.status)], {"status"}
        if self.type is not None or self.queue is not None or self.type_prefix is not None:
            pairs = [pair for pair in kinds() if self._is_kind(*pair)]
            if len(pairs) <= MOST_KINDS:
                parts = [Job.objects.filter(type=name, queue=queue) for name, queue in pairs] or [Job.objects.none()]
                return parts, {"type", "type__startswith", "queue"}
        return [Job.objects.all()], set()

    def _few(self) -> list[uuid.UUID] | None:
        """Return the ids when an index without that order says that there are few; None when it knows of many."""
        rows: QuerySet[Job]
        if self.worker is not None:   # no more than it has slots
            rows = Job.objects.filter(status=Status.RUNNING, worker_id=self.worker).order_by("worker_id")
        elif self.tag is not None:
            if self._is_common():
                return None
            rows = Job.objects.filter(tags__contains=[self.tag]).exclude(tags=[]).order_by()   # what the index says
        elif self.status == Status.QUEUED:
            queue = {"queue": self.queue} if self.queue is not None else {}
            rows = Job.objects.filter(status=Status.QUEUED, **queue).order_by("queue", "behind", "priority", "run_at", "id")
        elif self.status == Status.RUNNING:
            rows = Job.objects.filter(status=Status.RUNNING).order_by("worker_id")
        else:
            return None
        with by_index():
            ids = list(rows.values_list("id", flat=True)[: FEW + 1])
        return ids if len(ids) <= FEW else None

    def _is_common(self) -> bool:
        """Tell whether the newest jobs have the tag often: then its list in the index, which is read as a whole, is long."""
        newest = Job.objects.order_by("-created_at", "-id").values_list("tags", flat=True)[:NEWEST]
        with by_index():
            return sum(self.tag in tags for tags in newest) * OFTEN > NEWEST

    def _within(self, rows: QuerySet[Job]) -> QuerySet[Job]:
        if self.created_after is not None:
            rows = rows.filter(created_at__gte=self.created_after)
        return rows.filter(created_at__lt=self.created_before) if self.created_before is not None else rows

    def _wanted(self) -> dict[str, Any]:
        wanted = {
            "id": self.id, "status": self.status, "type": self.type, "type__startswith": self.type_prefix,
            "queue": self.queue, "tags__contains": [self.tag] if self.tag is not None else None,
            "unique_key": self.unique_key, "worker_id": self.worker,
        }
        if self.worker is not None:
            wanted["status"] = Status.RUNNING
        return {name: value for name, value in wanted.items() if value is not None}

    def _is_kind(self, type_name: str, queue: str) -> bool:
        return (
            self.type in {None, type_name}
            and self.queue in {None, queue}
            and type_name.startswith(self.type_prefix or "")
        )


def kinds() -> list[tuple[str, str]]:
    """Return the pairs of type and queue that jobs have, in their order, from an index: one step a pair."""
    with by_index(), connection.cursor() as cursor:
        cursor.execute(_KINDS)
        return [(name, queue) for name, queue in cursor.fetchall()]
