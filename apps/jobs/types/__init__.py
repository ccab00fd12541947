"""The job types that ship; importing this registers them."""

from apps.jobs.types import http, system

__all__ = ["http", "system"]
