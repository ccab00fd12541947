"""Job types of the chaos suite, loaded by its processes through JOB_MODULES as a user's own module would be.

Each attempt writes one line when it begins, to a file that every process appends to: this is what really happened,
whatever the database says of it. `chaos.work` has no other effect; `chaos.book` writes a row together with its job's
completion, and says so when the fence refuses it.
"""

import os
import time
import uuid
from typing import Self

import pydantic
from django.db import connection

from apps.jobs import Context, job_type
from apps.jobs.errors import Fenced
from core import clock

APPROACH_SECONDS = 2.0
LOG = os.environ.get("CHAOS_LOG", os.devnull)


class Work(pydantic.BaseModel):
    milliseconds: float = 5


class Approach(Work):
    """In a worker, reading it takes seconds: time to freeze a process between its claim and its handler.

    In one nap a process that was frozen meanwhile wakes at the end of it; with many it still has the rest of its way to go.
    """

    naps: int = 1

    @pydantic.model_validator(mode="after")
    def takes_its_time(self) -> Self:
        if os.environ.get("CHAOS_ROLE") == "worker":
            write("comes", f"{uuid.UUID(int=0)} 0 0")
            for _ in range(self.naps):
                time.sleep(APPROACH_SECONDS / self.naps)
            write("came", f"{uuid.UUID(int=0)} 0 0")
        return self


def note(event: str, job: Context) -> None:
    write(event, f"{job.id} {job.attempt} {job.fence}")


def write(event: str, attempt: str) -> None:
    line = f"{event} {attempt} {os.getpid()} {clock.elapsed():.6f}\n"
    file = os.open(LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, line.encode())   # one write of a short line is never torn
    finally:
        os.close(file)


@job_type("chaos.work", payload=Work, queue="chaos")
def work(job: Context, payload: Work) -> None:
    note("start", job)
    time.sleep(payload.milliseconds / 1000)


@job_type("chaos.book", payload=Work, queue="chaos")
def book(job: Context, payload: Work) -> None:
    note("start", job)
    time.sleep(payload.milliseconds / 1000)
    try:
        with job.transaction() as tx:
            with connection.cursor() as cursor:
                cursor.execute("INSERT INTO chaos_effect (job_id, fence) VALUES (%s, %s)", [job.id, job.fence])
            tx.complete()
    except Fenced:
        note("fenced", job)
        raise


@job_type("chaos.slow_to_start", payload=Approach, queue="chaos")
def slow_to_start(job: Context, payload: Approach) -> None:
    note("start", job)
