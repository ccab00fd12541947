"""How long a person's request waits for somebody who holds a job's row."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import DatabaseError, connection
from psycopg import errors as pg

from apps.jobs.errors import JobBusy

MOST = "2s"


@contextmanager
def patient(job_id: uuid.UUID) -> Iterator[None]:
    """Act on a job's row, and raise `JobBusy` when somebody holds it for long: a handler in its transaction perhaps.

    Open a transaction around it. The caller's own limit holds again afterwards; a rollback brings it back by itself.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('lock_timeout'), set_config('lock_timeout', %s, true)", [MOST])
        before = cursor.fetchone()[0]
        try:
            yield
        except DatabaseError as exc:
            if isinstance(exc.__cause__, pg.LockNotAvailable):
                raise JobBusy(job_id) from exc
            raise
        cursor.execute("SELECT set_config('lock_timeout', %s, true)", [before])
