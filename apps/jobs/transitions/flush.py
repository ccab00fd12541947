"""A row that others see before it is on the disk, and the flush that makes it safe before anybody is told of it.

A commit has two parts: its record in the log, from when on others see what it has written, and the wait for the disk, which takes
longer than all the rest of a plain INSERT. Whoever rings between the two lets a worker come while the disk is at work. No
handler begins before the row is safe: a claim is a commit that waits for the disk (see `connection`), and the log is written in
its order, so what a claim has seen is safe with it. Were the server to crash before either, nobody was given the job's id and
nothing of it has run. (PostgreSQL, "Asynchronous Commit": the risk is loss, not inconsistency.)

Only for rows that stand for themselves: of one with a unique key others would be told in the meantime that it is there.
"""

import uuid
from threading import Event

from django.db import OperationalError, ProgrammingError

from apps.jobs.transitions.direct import Direct

LATER = "set_config('synchronous_commit', 'off', true)"
"""What a statement returns whose transaction, which must be its own, shall be seen before it is on the disk."""

# A message in the log, for nobody: the least that a transaction can write, and its commit waits as the session's do. Where the row
# is to be seen its commit lies before it: a pooler may have led us to another server, which never had the row.
_MESSAGE = Direct("SELECT pg_logical_emit_message(true, 'latchwork', '') FROM job WHERE id = %s")
# The lock of a row is in the log too, and this one stands in nobody's way.
_LOCK = Direct("SELECT FROM job WHERE id = %s FOR KEY SHARE")

_refused = Event()   # this database does not let us write messages


def can_follow() -> bool:
    """Return whether an `ensure` will do, as far as is known."""
    return not _refused.is_set()


def ensure(job_id: uuid.UUID) -> None:
    """Wait until a job's row, which others see already, is as safe as any commit of this connection.

    Call it outside of a transaction. Raise Django's errors; then it is as open as after any commit whose answer was lost
    whether the row is stored.
    """
    try:
        found = _MESSAGE.execute([str(job_id)])
    except ProgrammingError:   # the right to it is everybody's unless somebody has taken it away
        _refused.set()
        found = _LOCK.execute([str(job_id)])
    if not found:
        raise OperationalError(f"job {job_id} is not to be seen on the server that was to keep it: it may be lost")
