"""End attempts: one statement for all endings, each under its fence, and the ledger of those that came too late.

Repeating it after a commit whose reply was lost is harmless: a settled row keeps its fence, so a second settle finds
its own work and changes nothing. Only a rescue or a new claim takes the fence away, and then the write is stale.
"""

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from apps.jobs.lifecycle import FINISHED, AttemptOutcome, Status
from apps.jobs.transitions.statement import TALLY, Execute, Reply, quoted, thread_tally


class Ending(NamedTuple):
    """How an attempt ended: a tuple, because it travels often. `result` and `error` are JSON text.

    `delay_seconds` is the back-off of a failure (None: no further attempt) or the length of a snooze; `until` is a
    snooze's moment. `confirmed`: the handler's own transaction has completed and counted the job, so that nothing is
    left to write, and nothing to refuse if a person has retried it since.
    """

    id: str
    fence: int
    outcome: AttemptOutcome
    result: str | None = None
    error: str | None = None
    delay_seconds: float | None = None
    until: datetime | None = None
    seconds: float = 0.0
    confirmed: bool = False


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of a batch: endings refused by their fence, and endings whose row somebody holds just now."""

    stale: list[tuple[str, int]]
    held: list[tuple[str, int]]


NEXT = """
CASE WHEN {outcome} = 'completed' THEN 'completed'
     WHEN {outcome} = 'cancelled' THEN 'cancelled'
     WHEN {outcome} = 'discarded' THEN 'dead_letter'
     WHEN {outcome} IN ('failed', 'timed_out') AND ({delay} IS NULL OR j.failures + 1 >= j.max_attempts) THEN 'dead_letter'
     WHEN {outcome} = 'worker_lost' AND j.rescues >= %(rescue_cap)s THEN 'dead_letter'
     WHEN j.cancel_requested_at IS NOT NULL THEN 'cancelled'
     WHEN {outcome} IN ('failed', 'timed_out') THEN 'retrying'
     WHEN {outcome} = 'lock_busy' AND EXISTS (
       SELECT FROM job o WHERE o.lock_key = j.lock_key AND NOT o.behind AND o.finished_at IS NULL AND o.id <> j.id) THEN 'queued'
     WHEN {outcome} IN ('snoozed', 'lock_busy') THEN 'scheduled'
     ELSE 'queued' END"""
"""Where an ending leads. A running job that is to be cancelled never goes back to any queue.

One that did not get its lock, because another job of ours is the head too, stands back in line behind that."""

# A job is found by its id: the planner, who thinks that next to none is running, would else read all that are, and all
# that were since the last vacuum; hence the status as an expression, which no index answers. For the same reason nothing
# is joined to `won`: what it took to be one row it would compare each with each.
_RUNNING = f"j.status || '' = '{Status.RUNNING.value}'"

_SETTLE = f"""
WITH v AS MATERIALIZED (
  SELECT DISTINCT ON (id, fence) * FROM unnest(%(ids)s::uuid[], %(fences)s::bigint[], %(outcomes)s::text[],
    %(results)s::jsonb[], %(errors)s::jsonb[], %(delays)s::float8[], %(untils)s::timestamptz[], %(seconds)s::float8[])
  WITH ORDINALITY AS v(id, fence, outcome, result, error, delay, until, seconds, number) ORDER BY id, fence, number),
e AS MATERIALIZED (
  SELECT v.*, j.type, j.queue, j.attempt, j.started_at, j.worker_id, j.lock_token,
    {NEXT.format(outcome='v.outcome', delay='v.delay')} AS next
  FROM v JOIN job j ON j.id = v.id AND j.fence = v.fence AND {_RUNNING}
  ORDER BY v.id FOR NO KEY UPDATE OF j SKIP LOCKED),
won AS (
  UPDATE job j SET status = e.next,
    attempt = j.attempt - (e.outcome IN ('released', 'lock_busy'))::int,
    failures = j.failures + (e.outcome IN ('failed', 'timed_out'))::int,
    rescues = j.rescues + (e.outcome = 'worker_lost')::int,
    worker_id = CASE WHEN e.next IN ({quoted(*FINISHED)}) THEN j.worker_id END,
    started_at = CASE WHEN e.outcome NOT IN ('released', 'lock_busy') THEN j.started_at END,
    result = CASE WHEN e.next = 'completed' THEN e.result END,
    error = CASE WHEN e.next <> 'completed' THEN coalesce(e.error, j.error) END,
    run_at = CASE WHEN e.next IN ('retrying', 'scheduled')
      THEN coalesce(e.until, clock_timestamp() + e.delay * interval '1 s') ELSE j.run_at END,
    finished_at = CASE WHEN e.next IN ({quoted(*FINISHED)}) THEN clock_timestamp() END,
    behind = j.lock_key IS NOT NULL AND (
      (e.next IN ('retrying', 'scheduled') AND e.outcome <> 'lock_busy') OR (e.next = 'queued' AND e.outcome = 'lock_busy'))
  FROM e WHERE j.id = e.id RETURNING e.*),
kept AS (
  INSERT INTO job_attempt (job_id, number, fence, worker_id, lock_token, outcome, error, started_at, finished_at)
  SELECT id, attempt, fence, worker_id, lock_token, outcome, error, started_at, clock_timestamp()
  FROM won WHERE outcome NOT IN ('completed', 'released', 'lock_busy')
  ON CONFLICT DO NOTHING),
counted AS (
  SELECT type, queue, CASE WHEN next IN ({quoted(*FINISHED)}) THEN next ELSE outcome END AS event, seconds
  FROM won WHERE outcome <> 'released' OR next IN ({quoted(*FINISHED)})),
{TALLY},
refused AS (
  SELECT * FROM v WHERE NOT EXISTS (SELECT FROM job j WHERE j.id = v.id AND j.fence = v.fence)),
stale AS (
  INSERT INTO job_stale_write (job_id, fence, worker_id, outcome, at)
  SELECT id, fence, %(worker)s, outcome, clock_timestamp() FROM refused r
  WHERE NOT EXISTS (SELECT FROM job_stale_write s WHERE s.job_id = r.id AND s.fence = r.fence AND s.worker_id = %(worker)s))
SELECT id::text, fence, true FROM refused
UNION ALL
SELECT v.id::text, v.fence, false FROM v JOIN job j USING (id, fence)
WHERE {_RUNNING} AND v.id NOT IN (SELECT id FROM won)"""


def settle(execute: Execute, endings: list[Ending], *, worker: uuid.UUID, rescue_cap: int) -> Reply[Settled]:
    """End a batch of attempts of one worker. Settle those that were `held` again, a moment later."""
    ids, fences, outcomes, *rest = columns_of([ending for ending in endings if not ending.confirmed])
    results, errors, delays, untils, seconds, _ = rest
    params = {
        "ids": ids,
        "fences": fences,
        "outcomes": [outcome.value for outcome in outcomes],
        "results": results,
        "errors": errors,
        "delays": delays,
        "untils": untils,
        "seconds": seconds,
        "worker": worker,
        "tally": worker,
        "rescue_cap": rescue_cap,
    }
    return Reply(execute(_SETTLE, params), _read)


def columns_of(endings: list[Ending]) -> list[list[Any]]:
    """Return the members of endings, each as a list over all of them."""
    return [list(column) for column in zip(*endings, strict=True)] or [[] for _ in Ending._fields]


def _read(rows: list[Any]) -> Settled:
    return Settled(
        stale=[(row[0], row[1]) for row in rows if row[2]],
        held=[(row[0], row[1]) for row in rows if not row[2]],
    )


_OPEN = f"SELECT id::text, fence FROM job j WHERE id = ANY(%(ids)s::uuid[]) AND {_RUNNING} AND fence IS NOT NULL"


def still_open(execute: Execute, endings: list[Ending]) -> list[Ending]:
    """Return the endings whose jobs still run under their fences: neither settled nor taken away."""
    found = execute(_OPEN, {"ids": [ending.id for ending in endings]}).fetchall()
    left = {(job_id, fence) for job_id, fence in found}
    return [ending for ending in endings if (ending.id, ending.fence) in left]


# Whoever is frozen or cut off with the row locked keeps it no longer than the attempt may last.
_LOCK = f"""
SELECT CASE WHEN %(idle)s::text IS NOT NULL THEN set_config('idle_in_transaction_session_timeout', %(idle)s::text, true) END
FROM job WHERE id = %(id)s AND fence = %(fence)s AND status = '{Status.RUNNING.value}'
FOR NO KEY UPDATE"""

# Counted in the same commit: a worker that dies before it can tell has still completed the job.
_COMPLETE = f"""
WITH won AS (
  UPDATE job SET status = 'completed', result = %(result)s::jsonb, error = NULL, finished_at = clock_timestamp()
  WHERE id = %(id)s AND fence = %(fence)s AND status = '{Status.RUNNING.value}'
  RETURNING type, queue, started_at, finished_at),
counted AS (
  SELECT type, queue, 'completed' AS event, extract(epoch FROM finished_at - started_at)::float8 AS seconds FROM won),
{TALLY}
SELECT true FROM won"""


def hold(execute: Execute, *, job_id: uuid.UUID, fence: int, idle_seconds: float | None = None) -> bool:
    """Lock a job's row for the rest of the transaction; False when this fence no longer holds it.

    The server ends the connection once it heard nothing for `idle_seconds` in this transaction.
    """
    idle = None if idle_seconds is None else f"{idle_seconds * 1000:.0f}ms"
    return bool(execute(_LOCK, {"id": job_id, "fence": fence, "idle": idle}).fetchall())


def complete(execute: Execute, *, job_id: uuid.UUID, fence: int, result: str | None) -> bool:
    """Complete a job in the handler's own transaction; False when this fence no longer holds it."""
    params = {"id": job_id, "fence": fence, "result": result, "tally": thread_tally()}
    return bool(execute(_COMPLETE, params).fetchall())


_PROGRESS = f"""
UPDATE job SET progress = %(progress)s::jsonb
WHERE id = %(id)s AND fence = %(fence)s AND status = '{Status.RUNNING.value}' RETURNING true"""


def report(execute: Execute, *, job_id: uuid.UUID, fence: int, progress: str) -> bool:
    """Write how far a running attempt is; False when this fence no longer holds the job."""
    return bool(execute(_PROGRESS, {"id": job_id, "fence": fence, "progress": progress}).fetchall())
