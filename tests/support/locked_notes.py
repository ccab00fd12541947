"""What the job types of `tests.support.locked` leave behind: attempts with their times, and a resource under a fence."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

LEASE_SECONDS = 3.0
TABLE = """
CREATE TABLE IF NOT EXISTS locked_run (
  id bigserial PRIMARY KEY, job_id uuid NOT NULL, key text NOT NULL, token bigint, pid int NOT NULL,
  began timestamptz NOT NULL DEFAULT clock_timestamp(), ended timestamptz);
CREATE TABLE IF NOT EXISTS locked_account (key text PRIMARY KEY, fence bigint NOT NULL, writes int NOT NULL DEFAULT 0)"""


@dataclass(frozen=True, slots=True)
class Run:
    """An attempt that began; `ended` is None when it was killed in the middle."""

    job_id: Any
    key: str
    token: int | None
    began: datetime
    ended: datetime | None


def runs(key: str | None = None) -> list[Run]:
    """Return what was run, or what of it under one key, by its beginning."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT job_id, key, token, began, ended FROM locked_run ORDER BY began")
        return [run for row in cursor.fetchall() if key in (None, (run := Run(*row)).key)]
