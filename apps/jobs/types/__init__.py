"""The job types that ship; importing this registers them."""

from apps.jobs.types import http, image, report, system

__all__ = ["http", "image", "report", "system"]
