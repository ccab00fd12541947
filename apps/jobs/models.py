"""What is stored. Rows of `Job` are written by `transitions/` alone; the rest reads."""

from typing import Any, ClassVar

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.core.files.storage import Storage, storages
from django.db import models
from django.db.models import F, Q

from apps.jobs import registry
from apps.jobs.lifecycle import DUE, FAILURES, FINISHED, AttemptOutcome, Status
from core.ids import uuid7
from core.sealing import form

UNUSUAL = (Status.DEAD_LETTER, Status.CANCELLED, Status.RETRYING, Status.SCHEDULED)


class Job(models.Model):
    """One unit of work: at once the record, the place in the queue, and the outbox of its own ring."""

    id = models.UUIDField(primary_key=True, default=uuid7)
    type = models.TextField()
    queue = models.TextField()
    priority = models.SmallIntegerField(default=5)
    status = models.TextField(choices=Status)
    attempt = models.IntegerField(default=0)
    max_attempts = models.IntegerField()
    failures = models.IntegerField(default=0)
    rescues = models.IntegerField(default=0)
    fence = models.BigIntegerField(null=True)
    worker_id = models.UUIDField(null=True)
    timeout_seconds = models.FloatField()
    run_at = models.DateTimeField()
    created_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    cancel_requested_at = models.DateTimeField(null=True)
    unique_key = models.TextField(null=True)   # noqa: DJ001  absent and empty are different keys
    tags = ArrayField(models.TextField(), default=list)
    payload = models.JSONField()
    payload_version = models.SmallIntegerField(default=1)
    result = models.JSONField(null=True)
    error = models.JSONField(null=True)
    progress = models.JSONField(null=True)
    request_id = models.TextField(default="")
    cron_id = models.BigIntegerField(null=True)
    scheduled_for = models.DateTimeField(null=True)
    lock_key = models.TextField(null=True)   # noqa: DJ001  most jobs have none, and none is no name
    # Of all unfinished jobs with one lock_key, the head has the key's place and may run; the others are behind it.
    behind = models.BooleanField(default=False, db_default=False)
    lock_token = models.BigIntegerField(null=True)   # of the latest attempt

    class Meta:
        db_table = "job"
        ordering: ClassVar = ["-created_at", "-id"]
        indexes: ClassVar = [
            # The three hot ones; a row is in one of them at most, a finished one in none.
            # Those who stand behind another job of their lock come after all that may be claimed, and are never read for it.
            models.Index(
                F("queue"), F("behind"), F("priority"), F("run_at"), F("id"), name="job_ready",
                condition=Q(status=Status.QUEUED),
            ),
            models.Index(F("run_at"), name="job_due", condition=Q(status__in=DUE)),
            models.Index(F("worker_id"), name="job_held", condition=Q(status=Status.RUNNING)),
            # What lists and retention ask for.
            models.Index(F("created_at"), F("id"), name="job_by_created"),
            # Usual statuses are found by the newest of all or by the hot indexes; what changes status seldom enters here.
            models.Index(F("status"), F("created_at"), F("id"), name="job_unusual", condition=Q(status__in=UNUSUAL)),
            # One for both: a rare type or queue is found here, a common one among the newest.
            models.Index(F("type"), F("queue"), F("created_at"), F("id"), name="job_by_kind"),
            models.Index(F("finished_at"), name="job_finished", condition=Q(finished_at__isnull=False)),
            GinIndex(fields=["tags"], name="job_tags", condition=~Q(tags=[])),
            # Who has the place of a lock, and who stands in line for it; a job without a lock is in neither.
            models.Index(
                F("lock_key"), name="job_lock_head",
                condition=Q(lock_key__isnull=False, behind=False, finished_at__isnull=True),
            ),
            models.Index(
                F("lock_key"), F("run_at"), F("id"), name="job_lock_line", condition=Q(behind=True, status=Status.QUEUED),
            ),
            # Who looks for a key looks for its finished jobs too; a job without one costs nothing here.
            models.Index(
                F("unique_key"), F("created_at"), F("id"), name="job_by_key", condition=Q(unique_key__isnull=False),
            ),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(name="job_status_known", condition=Q(status__in=list(Status.values))),
            models.CheckConstraint(
                name="job_finished_has_its_time",
                condition=Q(status__in=FINISHED, finished_at__isnull=False)
                | (~Q(status__in=FINISHED) & Q(finished_at__isnull=True)),
            ),
            models.CheckConstraint(
                name="job_running_is_held",
                condition=~Q(status=Status.RUNNING) | Q(fence__isnull=False, worker_id__isnull=False),
            ),
            models.CheckConstraint(
                name="job_behind_has_a_lock",
                condition=Q(behind=False) | (Q(lock_key__isnull=False) & ~Q(status=Status.RUNNING)),
            ),
            models.CheckConstraint(name="job_priority_range", condition=Q(priority__range=(0, 9))),
            models.UniqueConstraint(
                fields=["unique_key"], name="job_unique_key",
                condition=Q(unique_key__isnull=False, finished_at__isnull=True),
            ),
            models.UniqueConstraint(
                fields=["cron_id", "scheduled_for"], name="job_occurrence", condition=Q(cron_id__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.id}"

    @property
    def shown_payload(self) -> Any:
        """The payload as answers, pages and commands show it: without sealed values."""
        known = registry.find(self.type)
        return form.shown(self.payload, secret=known.sensitive if known else ())


class JobAttempt(models.Model):
    """An attempt that the row has moved on from. The latest attempt stands on the job itself. Append-only."""

    job = models.ForeignKey(Job, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="attempts")
    number = models.IntegerField()
    fence = models.BigIntegerField()
    worker_id = models.UUIDField(null=True)
    lock_token = models.BigIntegerField(null=True)
    outcome = models.TextField(choices=AttemptOutcome)
    error = models.JSONField(null=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField()

    class Meta:
        db_table = "job_attempt"
        verbose_name = "attempt"
        constraints: ClassVar = [models.UniqueConstraint(fields=["job", "fence"], name="job_attempt_key")]
        indexes: ClassVar = [
            # What reports of failures read in order; other endings (a snooze, a stop) cost it nothing.
            models.Index(F("finished_at"), F("id"), name="job_attempt_failed", condition=Q(outcome__in=FAILURES)),
        ]

    def __str__(self) -> str:
        return f"{self.job_id} attempt {self.number}: {self.outcome}"


class Queue(models.Model):
    """A queue that somebody has paused, or that no registered type names."""

    name = models.TextField(primary_key=True)
    paused_at = models.DateTimeField(null=True)
    paused_by = models.TextField(default="")
    paused_reason = models.TextField(default="")

    class Meta:
        db_table = "job_queue"

    def __str__(self) -> str:
        return self.name


class Worker(models.Model):
    """One start of a worker process, never used again. Its lease stands for all jobs that it runs."""

    id = models.UUIDField(primary_key=True)
    name = models.TextField()
    host = models.TextField()
    pid = models.IntegerField()
    pool = models.TextField()
    slots = models.IntegerField()
    queues = ArrayField(models.TextField())
    types = models.JSONField()
    code_version = models.TextField(default="")
    metrics_port = models.IntegerField(null=True)
    started_at = models.DateTimeField()
    seen_at = models.DateTimeField()
    lease_until = models.DateTimeField()
    stopping_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    end_reason = models.TextField(default="")

    class Meta:
        db_table = "job_worker"
        indexes: ClassVar = [
            models.Index(F("lease_until"), name="job_worker_lease", condition=Q(ended_at__isnull=True)),
        ]

    def __str__(self) -> str:
        return self.name


class StaleWrite(models.Model):
    """An ending that came under a fence which was no longer the job's: refused, and kept here as evidence."""

    job_id = models.UUIDField(db_index=True)
    fence = models.BigIntegerField()
    worker_id = models.UUIDField(null=True)
    outcome = models.TextField()
    at = models.DateTimeField(db_index=True)

    class Meta:
        db_table = "job_stale_write"
        verbose_name_plural = "stale ledger"

    def __str__(self) -> str:
        return f"{self.job_id} under {self.fence}: {self.outcome}"


class Tally(models.Model):
    """How many endings of one kind one worker saw in one minute, so that no scrape ever counts jobs."""

    minute = models.DateTimeField()
    worker_id = models.UUIDField()
    type = models.TextField()
    queue = models.TextField()
    event = models.TextField()
    count = models.BigIntegerField()
    seconds = models.FloatField(default=0)

    class Meta:
        db_table = "job_tally"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["minute", "worker_id", "type", "queue", "event"], name="job_tally_key"),
        ]

    def __str__(self) -> str:
        return f"{self.minute:%H:%M} {self.type} {self.event}: {self.count}"


class Duty(models.Model):
    """Something that somebody must do every so often, whoever it is: the dispatcher's sign of life, retention."""

    name = models.TextField(primary_key=True)
    done_at = models.DateTimeField(null=True)
    by = models.TextField(default="")

    class Meta:
        db_table = "job_duty"
        verbose_name_plural = "duties"

    def __str__(self) -> str:
        return self.name


def artifact_storage() -> Storage:
    """Return where the files of artifacts are: STORAGES["artifacts"], by the setting ARTIFACTS_URL."""
    return storages["artifacts"]


class Bulk(models.Model):
    """An action on all jobs that match: what was asked by whom, and how far its job is. Written by `services.bulk` alone."""

    id = models.UUIDField(primary_key=True)            # that of the job which does it
    action = models.TextField()
    selection = models.JSONField()
    actor = models.JSONField()                         # who asked, as the audit knows them
    reason = models.TextField()
    created_at = models.DateTimeField()
    begun_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)         # all of it was done
    total = models.BigIntegerField(null=True)          # counted at the beginning
    done = models.BigIntegerField(default=0)
    refused = models.BigIntegerField(default=0)
    refusals = models.JSONField(default=list)          # the first of them
    place_at = models.DateTimeField(null=True)         # behind which job it goes on: moves with each batch, in one commit
    place_id = models.UUIDField(null=True)

    class Meta:
        db_table = "job_bulk"
        verbose_name = "bulk action"

    def __str__(self) -> str:
        return f"{self.action} all that match"


class Artifact(models.Model):
    """A file that came in with a request, or that a job made. Written by `services.artifacts` alone."""

    id = models.UUIDField(primary_key=True, default=uuid7)
    job_id = models.UUIDField(null=True)
    name = models.TextField()
    content_type = models.TextField()
    size = models.BigIntegerField()
    sha256 = models.TextField()
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    file = models.FileField(storage=artifact_storage, max_length=200)

    class Meta:
        db_table = "job_artifact"
        indexes: ClassVar = [models.Index(F("expires_at"), name="job_artifact_expires")]
        constraints: ClassVar = [
            # Also finds the artifacts of a job.
            models.UniqueConstraint(fields=["job_id", "name"], name="job_artifact_name", condition=Q(job_id__isnull=False)),
            models.UniqueConstraint(fields=["file"], name="job_artifact_file"),
        ]

    def __str__(self) -> str:
        return self.name


class LooseFile(models.Model):
    """A file in the storage that no artifact names: not yet, while it is being written, or no longer.

    It is written down before the file exists, and forgotten in the commit that gives the file to an artifact, or after
    the file was deleted. So no crash leaves a file that nobody knows of.
    """

    path = models.TextField(primary_key=True)
    delete_after = models.DateTimeField()

    class Meta:
        db_table = "job_loose_file"
        indexes: ClassVar = [models.Index(F("delete_after"), name="job_loose_file_due")]

    def __str__(self) -> str:
        return self.path
