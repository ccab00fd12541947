"""What handlers of tests do to the world: rows of a table of the tests' own, each with the fence that it was done under."""

import os
from dataclasses import dataclass
from typing import Any

from django.db import connection

from apps.jobs import Context

TABLE = """
CREATE TABLE IF NOT EXISTS scripted_effect (
  id bigserial PRIMARY KEY, job_id uuid NOT NULL, attempt int NOT NULL, fence bigint NOT NULL, pid int NOT NULL,
  at timestamptz NOT NULL DEFAULT clock_timestamp())"""
_WRITE = "INSERT INTO scripted_effect (job_id, attempt, fence, pid) VALUES (%s, %s, %s, %s)"
_READ = "SELECT attempt, fence, pid FROM scripted_effect WHERE job_id = %s ORDER BY id"


@dataclass(frozen=True, slots=True)
class Effect:
    attempt: int
    fence: int
    pid: int


def write(job: Context) -> None:
    """Write down that this attempt did its work, in the handler's transaction if there is one."""
    with connection.cursor() as cursor:
        cursor.execute(_WRITE, [job.id, job.attempt, job.fence, os.getpid()])


def of(job_id: Any) -> list[Effect]:
    """Return the effects of a job, in their order."""
    with connection.cursor() as cursor:
        cursor.execute(_READ, [job_id])
        return [Effect(*row) for row in cursor.fetchall()]
