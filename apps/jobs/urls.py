"""The addresses of jobs, below /api/v1/. Only a web process imports this."""

from django.urls import path, re_path

from apps.jobs.api import actions, fleet, jobs, metrics, queues

QUEUE = r"^queues/(?P<name>[A-Za-z0-9][A-Za-z0-9_.-]{0,99})"

urlpatterns = [
    path("jobs", jobs.Jobs.as_view(), name="jobs"),
    path("jobs/bulk", jobs.Bulk.as_view(), name="jobs-bulk"),
    path("jobs/<uuid:job_id>", jobs.OneJob.as_view(), name="job"),
    path("jobs/<uuid:job_id>/attempts", jobs.Attempts.as_view(), name="job-attempts"),
    path("jobs/<uuid:job_id>/retry", actions.Retry.as_view(), name="job-retry"),
    path("jobs/<uuid:job_id>/cancel", actions.Cancel.as_view(), name="job-cancel"),
    path("jobs/<uuid:job_id>/run", actions.Run.as_view(), name="job-run"),
    path("jobs/<uuid:job_id>/discard", actions.Discard.as_view(), name="job-discard"),
    path("job-types", fleet.JobTypes.as_view(), name="job-types"),
    path("queues", queues.Queues.as_view(), name="queues"),
    re_path(rf"{QUEUE}/pause$", queues.Pause.as_view(), name="queue-pause"),
    re_path(rf"{QUEUE}/resume$", queues.Resume.as_view(), name="queue-resume"),
    path("workers", fleet.Workers.as_view(), name="workers"),
    path("stale", fleet.Stale.as_view(), name="stale"),
    path("stats", fleet.Stats.as_view(), name="stats"),
]

metrics.register()
