"""The job types that ship; importing this registers them."""

from apps.jobs.types import email, http, image, report, system

__all__ = ["email", "http", "image", "report", "system"]
