"""Job types whose payload picks the ending: what the tests have worker processes run (`JOB_MODULES=tests.support.scripted`).

`scripted.run` does what `do` says and is tried again at once; `scripted.once` is the same without a second failure,
and `scripted.alone` shares its hand-over with nobody.
A handler can meet its test at a desk: a folder in which it leaves a note when it begins, and waits for a note to go.
"""

import io
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pydantic
from django.db import connection, transaction

from apps.jobs import Cancel, Context, Discard, Fixed, NoRetry, Retry, Snooze, job_type, registry
from apps.jobs import services as jobs
from core import clock
from tests.support import effects
from tests.support.desk import Desk

RUN, ONCE, ALONE = "scripted.run", "scripted.once", "scripted.alone"


class Script(pydantic.BaseModel):
    """What to do, and with what; each action reads what it needs. `until_attempt`: later attempts just return."""

    model_config = pydantic.ConfigDict(extra="forbid")

    do: str = "give"
    value: Any = None
    seconds: float = 0.0
    desk: str = ""
    until_attempt: int = 1000
    script: dict[str, Any] = {}


class Unpicklable(Exception):
    """Cannot travel between processes: it holds a lock, and its constructor wants two arguments."""

    def __init__(self, message: str, lock: object) -> None:
        super().__init__(message)
        self.lock = lock


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text for you")


def _give(job: Context, script: Script) -> Any:
    time.sleep(script.seconds)
    return script.value


def _raise(job: Context, script: Script) -> Any:
    raise ValueError(script.value)


def _wait(job: Context, script: Script) -> Any:
    Desk(script.desk).wait(lambda: None)
    return script.value


def _wait_checking(job: Context, script: Script) -> Any:
    Desk(script.desk).wait(job.check)
    return script.value


def _wait_then_raise(job: Context, script: Script) -> Any:
    Desk(script.desk).wait(lambda: None)
    raise ValueError(script.value)


def _effect(job: Context, script: Script) -> Any:
    effects.write(job)
    time.sleep(script.seconds)
    return script.value


def _complete(job: Context, script: Script) -> Any:
    with job.transaction() as tx:
        effects.write(job)
        tx.complete(script.value)
        time.sleep(script.seconds)
    return "what a handler returns after its own completion is not the result"


def _complete_and_work_on(job: Context, script: Script) -> Any:
    with job.transaction() as tx:
        tx.complete(script.value)
    Desk(script.desk).wait(lambda: None)
    effects.write(job)
    return None


def _complete_and_raise(job: Context, script: Script) -> Any:
    with job.transaction() as tx:
        effects.write(job)
        tx.complete(script.value)
    raise ValueError("after the completion")


def _complete_and_die(job: Context, script: Script) -> Any:
    _complete(job, script)
    os.kill(os.getpid(), signal.SIGKILL)


def _raise_in_transaction(job: Context, script: Script) -> Any:
    with job.transaction() as tx:
        effects.write(job)
        tx.complete(script.value)
        raise ValueError("before the commit")


def _transaction_at_desk(job: Context, script: Script) -> Any:
    Desk(script.desk).wait(lambda: None)
    return _complete(job, script)


def _leave_atomic_open(job: Context, script: Script) -> Any:
    transaction.atomic().__enter__()
    with connection.cursor() as cursor:   # its own row, so that the open transaction would hold up the settle
        cursor.execute("SELECT FROM job WHERE id = %s FOR UPDATE", [job.id])
    return script.value


def _leave_autocommit_off(job: Context, script: Script) -> Any:
    transaction.set_autocommit(False)
    effects.write(job)
    return script.value


def _break_connection(job: Context, script: Script) -> Any:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
    return script.value


def _progress(job: Context, script: Script) -> Any:
    for done in range(1000):   # a tight loop: most of it is left out
        job.progress(done, 1000, "on its way")
    Desk(script.desk).wait(lambda: None)
    job.progress(1000, 1000, "there")
    return script.value


def _die(job: Context, script: Script) -> Any:
    time.sleep(script.seconds)
    os.kill(os.getpid(), signal.SIGKILL)


def _exit(job: Context, script: Script) -> Any:
    sys.exit(script.value)


def _exit_at_once(job: Context, script: Script) -> Any:
    os._exit(7)


def _out_of_memory(job: Context, script: Script) -> Any:
    raise MemoryError("no room")


def _interrupt(job: Context, script: Script) -> Any:
    raise KeyboardInterrupt


def _recurse(job: Context, script: Script) -> Any:
    return _recurse(job, script)


def _unpicklable(job: Context, script: Script) -> Any:
    raise Unpicklable("it holds a lock", threading.Lock())


def _unspeakable(job: Context, script: Script) -> Any:
    raise Unspeakable


def _celery(job: Context, script: Script) -> Any:
    from celery import exceptions

    raise getattr(exceptions, script.value)("as if this were a task of Celery's")


def _close_stdout(job: Context, script: Script) -> Any:
    sys.stdout.close()
    os.close(1)
    return script.value


def _nest(job: Context, script: Script) -> Any:
    return str(jobs.enqueue(job.type, script.script, queue=script.value))


def _log(job: Context, script: Script) -> Any:
    job.logger.info("scripted.said", value=script.value)


def _query(job: Context, script: Script) -> Any:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        return cursor.fetchone()[0]


class _AtDesk(io.BytesIO):
    """A stream whose middle comes when the test says so."""

    def __init__(self, content: bytes, desk: str) -> None:
        super().__init__(content)
        self._desk = desk

    def read(self, size: int | None = -1, /) -> bytes:
        if self._desk and self.tell():
            Desk(self._desk).wait(lambda: None)
        return super().read(size)


def _save(job: Context, script: Script) -> Any:
    content = f"{script.value} by attempt {job.attempt}".encode()
    saved = job.save_artifact("out/put.txt", _AtDesk(content, script.desk))
    if job.attempt < script.seconds:
        raise ValueError("after it had saved")
    return str(saved)


def _facts(job: Context, script: Script) -> Any:
    return {
        "id": str(job.id), "type": job.type, "attempt": job.attempt, "fence": job.fence, "pid": os.getpid(),
        "step_key": job.step_key("charge"), "seconds_left": (job.deadline - clock.now()).total_seconds(),
        "thread": threading.current_thread().name,
    }


ACTIONS: dict[str, Callable[[Context, Script], Any]] = {
    "give": _give,
    "give_nul": lambda job, script: {"text": "a\0b"},
    "give_nul_in_name": lambda job, script: {"a\0b": 1},
    "give_surrogate": lambda job, script: "half \ud800 of a pair",
    "give_backslash": lambda job, script: r"the text \u0000 is no NUL",
    "give_huge": lambda job, script: "x" * (300 * 1024),
    "give_set": lambda job, script: {1, 2},
    "give_nan": lambda job, script: float("nan"),
    "give_deep": lambda job, script: _nested(int(script.value)),
    "raise": _raise,
    "raise_nul": lambda job, script: _raise(job, Script(value="a\0b")),
    "raise_surrogate": lambda job, script: _raise(job, Script(value="half \ud800 of a pair")),
    "raise_long": lambda job, script: _raise(job, Script(value="x" * 1_000_000)),
    "retry": lambda job, script: Retry(after=timedelta(seconds=script.seconds), reason="not yet"),
    "retry_by_policy": lambda job, script: Retry(),
    "snooze": lambda job, script: Snooze(timedelta(seconds=script.seconds)),
    "snooze_until": lambda job, script: Snooze(until=clock.now() + timedelta(seconds=script.seconds)),
    "cancel": lambda job, script: Cancel("pointless by now"),
    "discard": lambda job, script: Discard("nobody can do this"),
    "wait": _wait,
    "wait_checking": _wait_checking,
    "wait_then_raise": _wait_then_raise,
    "effect": _effect,
    "complete": _complete,
    "complete_and_work_on": _complete_and_work_on,
    "complete_and_raise": _complete_and_raise,
    "complete_and_die": _complete_and_die,
    "raise_in_transaction": _raise_in_transaction,
    "transaction_at_desk": _transaction_at_desk,
    "leave_atomic_open": _leave_atomic_open,
    "leave_autocommit_off": _leave_autocommit_off,
    "break_connection": _break_connection,
    "progress": _progress,
    "die": _die,
    "exit": _exit,
    "exit_at_once": _exit_at_once,
    "out_of_memory": _out_of_memory,
    "interrupt": _interrupt,
    "recurse": _recurse,
    "unpicklable": _unpicklable,
    "unspeakable": _unspeakable,
    "celery": _celery,
    "close_stdout": _close_stdout,
    "nest": _nest,
    "log": _log,
    "query": _query,
    "facts": _facts,
    "save": _save,
}


def _nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


@job_type(RUN, payload=Script, queue="scripted", retry=Fixed(seconds=0))
def run(job: Context, script: Script) -> Any:
    """Do what the payload says."""
    if script.desk:
        Desk(script.desk).begin(job)
    if job.attempt > script.until_attempt:
        return script.value
    return ACTIONS[script.do](job, script)


@job_type(ONCE, payload=Script, queue="scripted", retry=NoRetry())
def once(job: Context, script: Script) -> Any:
    """Do what the payload says; a failure is final."""
    return run(job, script)


@job_type(ALONE, payload=Script, queue="scripted", batch=1)
def alone(job: Context, script: Script) -> Any:
    """Do what the payload says, in a hand-over of its own."""
    return run(job, script)


TYPES = (registry.get(RUN), registry.get(ONCE), registry.get(ALONE))
