"""The job types that ship; importing this registers them."""

from apps.jobs.types import bulk, email, http, image, report, system

__all__ = ["bulk", "email", "http", "image", "report", "system"]
