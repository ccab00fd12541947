"""The job types that ship; importing this registers them."""

from apps.jobs.types import email, http, system

__all__ = ["email", "http", "system"]
