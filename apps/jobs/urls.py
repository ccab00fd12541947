"""The addresses of jobs, below /api/v1/. Only a web process imports this."""

from django.urls import path, register_converter
from django.urls.converters import StringConverter, UUIDConverter

from apps.jobs.api import actions, artifacts, fleet, jobs, metrics, queues


class JobId(UUIDConverter):
    """A UUID in either case, as RFC 9562 wants it read."""

    regex = r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"


class QueueName(StringConverter):
    """What may be the name of a queue; anything else is at no address."""

    regex = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}"


register_converter(JobId, "job")
register_converter(QueueName, "queue")

urlpatterns = [
    path("jobs", jobs.Jobs.as_view(), name="jobs"),
    path("jobs/bulk", jobs.Bulk.as_view(), name="jobs-bulk"),
    path("jobs/<job:job_id>", jobs.OneJob.as_view(), name="job"),
    path("jobs/<job:job_id>/attempts", jobs.Attempts.as_view(), name="job-attempts"),
    path("jobs/<job:job_id>/retry", actions.Retry.as_view(), name="job-retry"),
    path("jobs/<job:job_id>/cancel", actions.Cancel.as_view(), name="job-cancel"),
    path("jobs/<job:job_id>/run", actions.Run.as_view(), name="job-run"),
    path("jobs/<job:job_id>/discard", actions.Discard.as_view(), name="job-discard"),
    path("jobs/<job:job_id>/artifacts", artifacts.OfJob.as_view(), name="job-artifacts"),
    path("artifacts", artifacts.Artifacts.as_view(), name="artifacts"),
    path("artifacts/<job:artifact_id>", artifacts.OneArtifact.as_view(), name="artifact"),
    path("job-types", fleet.JobTypes.as_view(), name="job-types"),
    path("queues", queues.Queues.as_view(), name="queues"),
    path("queues/<queue:name>/pause", queues.Pause.as_view(), name="queue-pause"),
    path("queues/<queue:name>/resume", queues.Resume.as_view(), name="queue-resume"),
    path("workers", fleet.Workers.as_view(), name="workers"),
    path("stale", fleet.Stale.as_view(), name="stale"),
    path("stats", fleet.Stats.as_view(), name="stats"),
]

metrics.register()
