"""Periodic tasks that are not jobs: plain Celery messages, each firing decided by one conditional write.

django-celery-beat keeps what ran last in memory and saves it later, so that two beats fire everything twice. Here a
firing *is* the update of `last_run_at` from the value that this beat had seen; whoever loses it reads the row again.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import structlog
from celery import Celery
from django.db import DatabaseError, close_old_connections
from django.db.models import F, Q, QuerySet
from django_celery_beat.models import PeriodicTask, PeriodicTasks
from django_celery_beat.schedulers import DatabaseScheduler, ModelEntry

from apps.jobs import registry

# A broker that is away makes a task late, however long: nothing else waits in this thread but other periodic tasks.
PUBLISHING = {"retry": True, "retry_policy": {"max_retries": None, "interval_start": 0, "interval_step": 0.5, "interval_max": 2}}
MOST_FIRINGS = 100   # in one pass, so that a schedule that is always due cannot keep the loop from its end

log = structlog.get_logger(__name__)


class BrokenEntry(ValueError):
    """A row that cannot become an entry; the others are not touched by it."""


class PeriodicEntry(ModelEntry):  # type: ignore[misc]  # it ships no types
    """A row of a periodic task, and the `last_run_at` that its next firing must find there."""

    def __init__(self, model: PeriodicTask, app: Celery | None = None) -> None:
        self.seen: datetime | None = model.last_run_at
        super().__init__(model, app=app)
        if self.schedule is None or not isinstance(self.args, list) or not isinstance(self.kwargs, dict):
            raise BrokenEntry("it needs a schedule, a list of arguments and an object of keyword arguments, in JSON")
        self.options |= PUBLISHING

    def __next__(self) -> "PeriodicEntry":
        self.model.last_run_at = self._default_now()
        self.model.total_run_count += 1
        return type(self)(self.model, app=self.app)

    next = __next__

    def take(self) -> bool:
        """Write the firing that `next` has begun; False when another beat or an edit was there first."""
        unseen = Q(last_run_at=self.seen) if self.seen else Q(last_run_at=None)
        return bool(PeriodicTask.objects.filter(unseen, pk=self.model.pk, enabled=True).update(
            last_run_at=self.model.last_run_at, total_run_count=F("total_run_count") + 1,
        ))

    def refresh(self) -> None:
        """Read what the row says now, after somebody else has written it."""
        self.model.refresh_from_db(fields=["last_run_at", "total_run_count", "enabled"])
        self.seen = self.model.last_run_at
        self.last_run_at = self.seen or self._default_now()

    def _disable(self, model: PeriodicTask) -> None:
        """Disable by what changes alone: saving the whole row would undo an edit made meanwhile."""
        model.enabled = False
        PeriodicTask.objects.filter(pk=model.pk).update(enabled=False, last_run_at=None)
        PeriodicTasks.update_changed()


class PeriodicScheduler(DatabaseScheduler):  # type: ignore[misc]  # it ships no types
    """django-celery-beat's scheduler, for rows whose task is no job type; its errors are the caller's to survive."""

    Entry = PeriodicEntry
    _installed = False
    _successor: PeriodicEntry | None = None
    _unsure: tuple[PeriodicEntry, datetime] | None = None

    def setup_schedule(self) -> None:
        """Leave the database alone until the first pass: beat starts without one, too."""

    def install_default_entries(self, data: object) -> None:
        """Add nothing: there is no result backend to clean up."""

    def pass_once(self) -> float:
        """Fire what is due, and return the seconds until more may be."""
        if not self._installed:
            self._load()
            self.update_from_dict(self.app.conf.beat_schedule)
            self._installed = True
        self._settle_unsure()
        for _ in range(MOST_FIRINGS):
            if (delay := DatabaseScheduler.tick(self)) > 0:
                return float(delay)
        return 0.0

    def reload(self) -> None:
        """Read everything anew at the next pass: this one ended somewhere in its middle."""
        self._initial_read, self._heap = True, None

    def enabled_models_qs(self) -> QuerySet[PeriodicTask]:
        """Leave out definitions of jobs: they become rows, never messages."""
        rows: QuerySet[PeriodicTask] = super().enabled_models_qs()
        return rows.exclude(task__in=registry.names())

    def all_as_schedule(self) -> dict[str, PeriodicEntry]:
        """Read the rows; one that is broken is left out and told of, and the others run."""
        self._last_timestamp = self.Changes.last_change()   # before the rows, so that no change falls in between
        return {entry.name: entry for entry in self._entries()}

    def _entries(self) -> Iterator[PeriodicEntry]:
        for model in self.enabled_models():
            try:
                entry = self.Entry(model, app=self.app)
                if entry.model.enabled:   # making it may have disabled it
                    yield entry
            except DatabaseError:
                raise
            except Exception as exc:  # noqa: BLE001  whatever somebody wrote into a row
                log.warning("periodic.broken", name=model.name, error=f"{type(exc).__name__}: {exc}")

    def update_from_dict(self, mapping: dict[str, Any]) -> None:
        """Store the settings' definitions, and keep those of jobs out of the heap."""
        super().update_from_dict(mapping)
        for name in [name for name, entry in self._schedule.items() if registry.find(entry.task)]:
            del self._schedule[name]

    def schedule_changed(self) -> bool:
        close_old_connections()
        before, self._last_timestamp = self._last_timestamp, self.Changes.last_change()
        return bool(before != self._last_timestamp)

    def reserve(self, entry: PeriodicEntry) -> PeriodicEntry:
        self._successor = next(entry)
        return self._successor

    def apply_entry(self, entry: PeriodicEntry, producer: object = None) -> None:
        """Send a due task if the row agrees that it is ours to send."""
        if registry.find(entry.task):   # became a job type since it was read
            log.warning("periodic.is_a_job", name=entry.name, task=entry.task)
            return
        moment = entry.model.last_run_at
        self._unsure = (entry, moment)
        won = entry.take()
        self._unsure = None
        if won:
            super().apply_entry(entry, producer=producer)
        elif self._successor is not None:
            log.debug("periodic.lost", name=entry.name)
            self._successor.refresh()

    def should_sync(self) -> bool:
        return False

    def sync(self) -> None:
        """Save nothing: a firing is stored before it is sent. Also called by a signal's handler, anywhere."""
        self._dirty.clear()

    def _load(self) -> None:
        self._heap = None
        _ = self.schedule

    def _settle_unsure(self) -> None:
        """Ask what became of a firing whose answer was lost, and send it if it was ours."""
        if self._unsure is None:
            return
        entry, moment = self._unsure
        ours = PeriodicTask.objects.filter(pk=entry.model.pk, last_run_at=moment).exists()
        self._unsure = None
        if ours:
            super().apply_entry(entry, producer=self.producer)
