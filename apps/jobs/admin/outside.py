"""Addresses outside the admin that rows lead to."""

from typing import Any
from urllib.parse import quote

from django.conf import settings

from core.admin.text import link


def flower_task(job_id: Any) -> str:
    """Return a link to Celery's view of a job, "-" when nobody has said where Flower is."""
    return _flower(f"task/{job_id}", "the task in Flower")


def flower_worker(name: str) -> str:
    """Return a link to Celery's view of a worker."""
    return _flower(f"worker/{quote(name, safe='')}", "the worker in Flower")


def _flower(path: str, text: str) -> str:
    base = settings.FLOWER_URL.rstrip("/")
    return link(f"{base}/{path}", text) if base else "-"
