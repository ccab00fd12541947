"""The job types that ship; importing this registers them."""

from apps.jobs.types import http, report, system

__all__ = ["http", "report", "system"]
