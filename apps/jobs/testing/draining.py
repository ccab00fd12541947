"""Run ready jobs in this process, on Django's connection: a worker, a dispatcher and a bookkeeper in one loop."""

import json
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from django.db import connection, transaction
from psycopg.pq import TransactionStatus

from apps.jobs import registry, selectors
from apps.jobs.conf import config
from apps.jobs.engine import runner
from apps.jobs.engine.board import Board
from apps.jobs.engine.context import Assignment
from apps.jobs.lifecycle import DUE, AttemptOutcome, Status
from apps.jobs.outcomes import JSON
from apps.jobs.transitions import due, fetch, heads, presence, retry, settle, token
from apps.jobs.transitions.fetch import Claim
from apps.jobs.transitions.statement import on_django
from core import clock
from core.ids import uuid7
from locks import Locks, open_store

LEASE = timedelta(hours=1)   # nobody else rescues from a debugger's breakpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """One attempt: how it ended, where the job stands now, and what the handler raised, if it did."""

    id: uuid.UUID
    type: str
    attempt: int
    outcome: AttemptOutcome
    status: Status
    result: JSON
    error: BaseException | None


def drain(
    *, queues: Collection[str] | None = None, max_jobs: int = 1000, with_scheduled: bool = False,
) -> list[Ran]:
    """Run what is ready, also what that enqueues, until nothing is or `max_jobs` attempts have run; say how each ended.

    Jobs whose time has not come stay, unless `with_scheduled`: then delays, snoozes and back-offs are over at once.
    What a handler raises does not come out of here: it is on the attempt's `error`. Paused queues stay paused.
    """
    worker = _Worker()
    ran: list[Ran] = []
    worker.start()
    try:
        while len(ran) < max_jobs and (claim := _next(worker, queues, with_scheduled=with_scheduled)):
            ran.append(worker.run(claim))
    finally:
        worker.end()
    return ran


@dataclass(slots=True)
class _Worker:
    id: uuid.UUID = field(default_factory=uuid7)
    board: Board = field(default_factory=Board)
    locks: Locks = field(default_factory=lambda: Locks(open_store("memory:"), background=False))
    types: dict[str, int] = field(default_factory=lambda: {
        job_type.name: job_type.payload_version for job_type in registry.all_types()
    })

    def start(self) -> None:
        row = presence.Start(
            id=self.id, name="drain@test", host="", pid=0, pool="solo", slots=1, queues=[], types=json.dumps(self.types),
            code_version="", metrics_port=None,
        )
        presence.start(on_django(), row, lease_seconds=LEASE.total_seconds())
        self.board.trust_until(clock.elapsed() + LEASE.total_seconds())

    def claim(self, queue: str) -> Claim | None:
        types = [f"{name}@{version}" for name, version in self.types.items()]
        claims = fetch.fetch(on_django(), worker=self.id, queue=queue, types=types, limit=1).get()
        return claims[0] if claims else None

    def run(self, claim: Claim) -> Ran:
        place = self.board.take()
        name = _lock_of(claim)
        lease = self.locks.try_acquire(name, lease=LEASE) if name is not None else None
        if lease is not None:
            token.note(on_django(), [token.Note(claim.id, claim.fence, lease.token)]).get()
        try:
            work = Assignment(
                id=claim.id, fence=claim.fence, attempt=claim.attempt, failures=claim.failures, type=claim.type,
                payload=claim.payload, timeout_seconds=claim.timeout_seconds, request_id=claim.request_id, place=place,
                lock_token=lease.token if lease is not None else None,
            )
            with _survived():
                report = runner.run(work, self.board)
        finally:
            self.board.give(place)
        settle.settle(on_django(), [report.ending], worker=self.id, rescue_cap=config().rescue_cap).get()
        if lease is not None:
            lease.release()
            heads.passed_on(on_django(), [claim.lock_key])
        job = selectors.job(uuid.UUID(claim.id))
        return Ran(
            id=job.id, type=job.type, attempt=claim.attempt, outcome=report.ending.outcome, status=Status(job.status),
            result=job.result, error=report.error,
        )

    def end(self) -> None:
        presence.end(on_django(), worker=self.id, reason="drained")


def _lock_of(claim: Claim) -> str | None:
    if claim.lock_key is None and registry.get(claim.type).guard:
        return f"job:{claim.id}"
    return claim.lock_key


def _next(worker: _Worker, queues: Collection[str] | None, *, with_scheduled: bool) -> Claim | None:
    due.move(on_django(), limit=10_000).get()
    rows = selectors.jobs() if queues is None else selectors.jobs().filter(queue__in=queues)
    while True:
        ready = rows.filter(status=Status.QUEUED).order_by("queue").values_list("queue", flat=True).distinct()
        for queue in list(ready):
            if claim := worker.claim(queue):
                return claim
        later = rows.filter(status__in=DUE, type__in=list(worker.types)).order_by("run_at", "id").first()
        if later is None or not with_scheduled:
            return None
        retry.run(on_django(), ids=[later.id]).get()


@contextmanager
def _survived() -> Iterator[None]:
    """Keep the test's own transaction usable when a handler's statement fails in it.

    In a worker that statement would have been alone in its transaction; here it would take all further ones with it.
    """
    if not connection.in_atomic_block:
        yield
        return
    savepoint = transaction.savepoint()
    yield
    if connection.connection.info.transaction_status == TransactionStatus.INERROR:
        transaction.savepoint_rollback(savepoint)
    else:
        transaction.savepoint_commit(savepoint)
