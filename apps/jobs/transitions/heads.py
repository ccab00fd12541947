"""Who of those that ask for the same lock may run: the head of each key, and who is next.

Of the unfinished jobs with one `lock_key` the head alone is not `behind`: it is ready or running, or put off because the
lock is busy elsewhere. A job with a key comes in behind, and whatever ends a head passes its place on to the oldest that
is ready. So a job that waits for a lock is never fetched, and costs nothing until it is its turn.

Trust: none. That only one has the lock is decided by the lock. Two transactions that cannot see each other may make two
heads, of which one gets the lock and the other stands back; or none, and then the next sweep makes one.
"""

from collections import Counter
from collections.abc import Collection, Iterable
from typing import Any

from apps.jobs.lifecycle import Status
from apps.jobs.transitions.statement import Execute, Reply

Ready = Counter[str]
"""How many jobs became ready in each queue."""

HEAD = "NOT {row}.behind AND {row}.finished_at IS NULL"

# A candidate whose row somebody holds is passed over: the next one is as good, and nobody waits.
_PROMOTE = f"""
headless AS MATERIALIZED (
  SELECT key FROM keys WHERE NOT EXISTS (
    SELECT FROM job h WHERE h.lock_key = keys.key AND {HEAD.format(row='h')})),
next AS MATERIALIZED (
  SELECT oldest.id FROM headless CROSS JOIN LATERAL (
    SELECT j.id FROM job j WHERE j.lock_key = headless.key AND j.behind AND j.status = '{Status.QUEUED.value}'
    ORDER BY j.run_at, j.id LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED) oldest)
UPDATE job j SET behind = false FROM next WHERE j.id = next.id RETURNING j.queue"""

_PASS_ON = f"WITH keys AS (SELECT DISTINCT key FROM unnest(%(keys)s::text[]) AS key), {_PROMOTE}"

# One step in the index for each key in line, not a look at every row.
_SWEEP = f"""
WITH RECURSIVE line(key) AS (
  (SELECT lock_key FROM job WHERE behind AND status = '{Status.QUEUED.value}' ORDER BY lock_key LIMIT 1)
  UNION ALL
  SELECT (SELECT j.lock_key FROM job j WHERE j.behind AND j.status = '{Status.QUEUED.value}' AND j.lock_key > line.key
          ORDER BY j.lock_key LIMIT 1)
  FROM line WHERE line.key IS NOT NULL),
keys AS (SELECT key FROM line WHERE key IS NOT NULL), {_PROMOTE}"""


def pass_on(execute: Execute, keys: Collection[str]) -> Reply[Ready]:
    """Make the oldest ready job of each of these keys its head, where there is none."""
    return Reply(execute(_PASS_ON, {"keys": sorted(keys)}), _read)


def sweep(execute: Execute) -> Reply[Ready]:
    """Give every key that has jobs in line a head: what a race or a crash has left behind."""
    return Reply(execute(_SWEEP, {}), _read)


def passed_on(execute: Execute, keys: Iterable[str | None]) -> Ready:
    """Pass on the places of these keys and say who became ready; for None, which is no key, nothing is asked."""
    left = {key for key in keys if key is not None}
    return pass_on(execute, left).get() if left else Counter()


def _read(rows: list[Any]) -> Ready:
    return Counter(row[0] for row in rows)
