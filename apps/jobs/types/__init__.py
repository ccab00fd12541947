"""The job types that ship; importing this registers them."""

from apps.jobs.types import http

__all__ = ["http"]
