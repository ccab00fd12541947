"""An application that enqueues: a process of its own, told by lines of JSON on its standard input, one answer a line."""

import json
import os
import signal
import sys
from contextlib import suppress
from datetime import timedelta
from typing import Any

import django

django.setup()

from django.db import DatabaseError, close_old_connections, transaction  # noqa: E402  after setup

from apps.jobs import publishing  # noqa: E402  after setup
from apps.jobs import services as jobs  # noqa: E402  after setup
from apps.jobs.transitions import flush  # noqa: E402  after setup
from tests.chaos.harness import QUEUE  # noqa: E402  after setup
from tests.support.waiting import until  # noqa: E402  after setup


def enqueue(order: dict[str, Any]) -> list[str]:
    options = {name: value for name, value in order["options"].items() if name != "delay"}
    if "delay" in order["options"]:
        options["delay"] = timedelta(seconds=order["options"]["delay"])
    payloads = order["payloads"]
    if order["until_it_fails"]:
        if not order["flushes"]:
            flush.ensure = lambda _job_id: None
        return until_it_fails(order["type"], options)
    if order["one_by_one"]:
        return [str(jobs.enqueue(order["type"], payload, **options)) for payload in payloads]
    with transaction.atomic():
        if order["crash_after_commit"]:   # before enqueue() can add its ring to what the commit calls
            transaction.on_commit(lambda: os.kill(os.getpid(), signal.SIGKILL))
        return [str(job_id) for job_id in jobs.enqueue_many(order["type"], payloads, **options)]


def until_it_fails(job_type: str, options: dict[str, Any]) -> list[str]:
    """Enqueue as users do who come one at a time, each rung for at once, until the database is gone; what each was told."""
    ids: list[str] = []
    with suppress(DatabaseError):
        while True:
            until(lambda: not publishing.rests(QUEUE), message="the rings rest")
            ids.append(str(jobs.enqueue(job_type, {}, **options)))
    return ids


for line in sys.stdin:
    close_old_connections()   # as Django does before each request
    print(json.dumps(enqueue(json.loads(line))), flush=True)  # noqa: T201  the answer
