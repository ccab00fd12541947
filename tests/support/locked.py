"""Job types that hold a lock, for worker processes of tests (`JOB_MODULES=tests.support.locked`), and what they leave behind.

Each attempt raises the fence of its key to its token, as a resource that is written under a lock has to, and notes from
when to when it ran.
"""

import os
import time
from datetime import timedelta
from typing import Any

import pydantic
from django.db import connection

from apps.jobs import Context, Fixed, job_type, registry
from core.locking.metrics import OBSERVER
from tests.support.desk import Desk
from tests.support.locked_notes import LEASE_SECONDS

# Refused when a greater token has been here: then nothing is written.
_RAISE = """
INSERT INTO locked_account (key, fence, writes) VALUES (%(key)s, %(token)s, 1)
ON CONFLICT (key) DO UPDATE SET fence = EXCLUDED.fence, writes = locked_account.writes + 1
WHERE locked_account.fence < EXCLUDED.fence RETURNING true"""


class Locked(pydantic.BaseModel):
    """What to do under the lock of a key; with a desk the handler waits there for its test."""

    key: str = ""
    seconds: float = 0.0
    desk: str = ""
    checking: bool = False


class Overtaken(Exception):
    """A greater token was here first."""


def work(job: Context, payload: Locked) -> int | None:
    """Run under the lock, and leave notes of it."""
    with connection.cursor() as cursor:
        if payload.key:
            token = job.fence if job.lock_token is None else job.lock_token
            cursor.execute(_RAISE, {"key": payload.key, "token": token})
            if not cursor.fetchall():
                raise Overtaken(f"{payload.key} under {job.lock_token}")
        cursor.execute(
            "INSERT INTO locked_run (job_id, key, token, pid) VALUES (%s, %s, %s, %s) RETURNING id",
            [job.id, payload.key, job.lock_token, os.getpid()],
        )
        number = cursor.fetchone()[0]
    if payload.desk:
        Desk(payload.desk).begin(job)
        Desk(payload.desk).wait(job.check if payload.checking else lambda: None)
    time.sleep(payload.seconds)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE locked_run SET ended = clock_timestamp() WHERE id = %s", [number])
    job.logger.info("locked.said", silent=OBSERVER.silent)
    return job.lock_token


_OPTIONS: dict[str, Any] = {
    "payload": Locked, "queue": "locked", "retry": Fixed(seconds=0), "lock_lease": timedelta(seconds=LEASE_SECONDS),
}
job_type("locked.snooze", lock="k:{key}", on_busy="snooze", **_OPTIONS)(work)
job_type("locked.discard", lock="k:{key}", on_busy="discard", **_OPTIONS)(work)
job_type("locked.wait", lock="k:{key}", on_busy="wait", **_OPTIONS)(work)
job_type("locked.guarded", payload=Locked, queue="locked", guard=True)(work)
job_type("locked.free", payload=Locked, queue="locked")(work)
TYPES = tuple(registry.get(f"locked.{name}") for name in ("snooze", "discard", "wait", "guarded", "free"))
