"""Who of those that ask for the same lock may run: the head of each key, and who is next.

Of the unfinished jobs with one `lock_key` the head alone is not `behind`: it is ready or running, or put off because the
lock is busy elsewhere. A job with a key comes in behind, and whatever ends a head passes its place on to the oldest that
is ready. So a job that waits for a lock is never fetched, and costs nothing until it is its turn. A head that is ready in a
paused queue has no turn: the next sweep makes it stand back, if another of its key, in an open queue, could go on.

Trust: none. That only one has the lock is decided by the lock. Two transactions that cannot see each other may make two
heads, of which one gets the lock and the other stands back; or none, and then the next sweep makes one.
"""

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from apps.jobs.lifecycle import Status
from apps.jobs.transitions.statement import Execute, Reply

Ready = Counter[str]
"""How many jobs became ready in each queue."""

SWEEP_KEYS = 5000   # of one sweep: some tens of milliseconds
FRONT, SWEPT_FRONT = 100, 10_000   # of a line: so many jobs of paused queues are passed over, in passing and by a sweep
_QUEUED = f"'{Status.QUEUED.value}'"
_PAUSED = "EXISTS (SELECT FROM job_queue p WHERE p.name = {row}.queue AND p.paused_at IS NOT NULL)"
_HEAD = "NOT {row}.behind AND {row}.finished_at IS NULL"
_FRONT = f"""
  SELECT c.id, c.queue, c.run_at FROM job c WHERE c.lock_key = {{key}} AND c.behind AND c.status = {_QUEUED}
  ORDER BY c.run_at, c.id LIMIT {{front}}"""

# A candidate whose row somebody holds is passed over: the next one is as good, and nobody waits.
# LATERAL and OFFSET 0: a look for each key, never at all heads or all rows.
_NEXT = f"""
headless AS MATERIALIZED (
  SELECT key FROM keys WHERE NOT EXISTS (
    SELECT FROM job h WHERE h.lock_key = keys.key AND {_HEAD.format(row='h')}{{but}} OFFSET 0)),
next AS MATERIALIZED (
  SELECT headless.key, oldest.id FROM headless CROSS JOIN LATERAL (
    SELECT j.id FROM ({_FRONT.format(key='headless.key', front='{front}')}) front
    JOIN job j ON j.id = front.id AND j.behind AND j.status || '' = {_QUEUED}
    WHERE NOT {_PAUSED.format(row='front')}
    ORDER BY front.run_at, front.id LIMIT 1 FOR NO KEY UPDATE OF j SKIP LOCKED) oldest),
promoted AS (UPDATE job j SET behind = false FROM next WHERE j.id = next.id RETURNING j.queue)"""

_PASS_ON = f"""
WITH keys AS (SELECT DISTINCT key FROM unnest(%(keys)s::text[]) AS key), {_NEXT.format(but='', front=FRONT)}
SELECT queue FROM promoted"""

# One step in the index for each key in line, not a look at every row. A head that is to stand back, and whose row somebody
# holds, keeps its place: else there would be two.
_SWEEP = f"""
WITH RECURSIVE line(key, number) AS (
  (SELECT lock_key, 1 FROM job WHERE behind AND status = {_QUEUED} AND lock_key > %(after)s ORDER BY lock_key LIMIT 1)
  UNION ALL
  SELECT (SELECT j.lock_key FROM job j WHERE j.behind AND j.status = {_QUEUED} AND j.lock_key > line.key
          ORDER BY j.lock_key LIMIT 1), line.number + 1
  FROM line WHERE line.key IS NOT NULL AND line.number < %(limit)s),
keys AS (SELECT key FROM line WHERE key IS NOT NULL),
stalled AS MATERIALIZED (
  SELECT keys.key, head.id FROM keys CROSS JOIN LATERAL (
    SELECT s.id FROM job s
    WHERE s.lock_key = keys.key AND {_HEAD.format(row='s')} AND s.status = {_QUEUED} AND {_PAUSED.format(row='s')}
      AND EXISTS (SELECT FROM ({_FRONT.format(key='keys.key', front=SWEPT_FRONT)}) front
                  WHERE NOT {_PAUSED.format(row='front')} OFFSET 0)
    FOR NO KEY UPDATE SKIP LOCKED) head),
{_NEXT.format(but=' AND h.id NOT IN (SELECT id FROM stalled)', front=SWEPT_FRONT)},
aside AS (UPDATE job j SET behind = true FROM stalled JOIN next ON next.key = stalled.key WHERE j.id = stalled.id)
SELECT queue, false FROM promoted
UNION ALL
SELECT key, true FROM line WHERE number = %(limit)s AND key IS NOT NULL"""


@dataclass(frozen=True, slots=True)
class Swept:
    """Who became ready, and behind which key the next sweep goes on; "": all were seen."""

    ready: Ready
    after: str


def pass_on(execute: Execute, keys: Collection[str]) -> Reply[Ready]:
    """Make the oldest ready job of each of these keys its head, where there is none."""
    return Reply(execute(_PASS_ON, {"keys": sorted(keys)}), _read)


def sweep(execute: Execute, *, after: str = "", limit: int = SWEEP_KEYS) -> Reply[Swept]:
    """Give the next keys that have jobs in line a head: what a race, a crash or a pause has left behind."""
    return Reply(execute(_SWEEP, {"after": after, "limit": limit}), _swept)


def passed_on(execute: Execute, keys: Iterable[str | None]) -> Ready:
    """Pass on the places of these keys and say who became ready; for None, which is no key, nothing is asked."""
    left = {key for key in keys if key is not None}
    return pass_on(execute, left).get() if left else Counter()


def _read(rows: list[Any]) -> Ready:
    return Counter(row[0] for row in rows)


def _swept(rows: list[Any]) -> Swept:
    return Swept(
        ready=Counter(text for text, is_key in rows if not is_key),
        after=next((text for text, is_key in rows if is_key), ""),
    )
