"""Django's admin over jobs: one file a noun. It looks by index and acts through services, as `core.admin` says."""

from apps.jobs.admin import artifacts, attempts, bulk, jobs, ledger, queues, workers

__all__ = ["artifacts", "attempts", "bulk", "jobs", "ledger", "queues", "workers"]
