"""What this app counts in its own process. Collectors live here; callers use the verbs and never touch a label."""

from functools import cache

from prometheus_client import Counter, Gauge, Histogram

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)

_rings = Counter("latchwork_rings_total", "Rings that reached the broker.")
_rings_failed = Counter("latchwork_rings_failed_total", "Rings that did not.", ["reason"])
_claimed = Counter("latchwork_worker_claims_total", "Jobs that this worker claimed.", ["queue"])
_settled = Counter("latchwork_worker_attempts_total", "Attempts that this worker settled.", ["type", "outcome"])
_seconds = Histogram("latchwork_worker_attempt_seconds", "Run time of attempts.", ["type"], buckets=_BUCKETS)
_stale = Counter("latchwork_stale_writes_total", "Endings of this worker that a fence refused.")
_lost = Counter("latchwork_worker_leases_lost_total", "Jobs that this worker held and lost.")
_commits = Counter("latchwork_worker_commits_total", "Commits of this worker's bookkeeper.")
_reconnects = Counter("latchwork_worker_reconnects_total", "Times that the bookkeeper lost its database.")
_hand_overs = Counter("latchwork_worker_hand_overs_total", "Pool tasks that carried jobs.")
_handed = Counter("latchwork_worker_handed_over_total", "Jobs that they carried.")
_held = Gauge("latchwork_worker_held", "Jobs that this worker holds now.")
_moved = Counter("latchwork_dispatcher_moved_total", "Due rows that this dispatcher moved to their queue.")
_rescued = Counter("latchwork_dispatcher_rescued_total", "Jobs that this dispatcher took back from silent workers.")


_lock_refused = Counter("latchwork_worker_locks_refused_total", "Claims that did not get their lock.", ["why"])
_lock_lost = Counter("latchwork_worker_locks_lost_total", "Claims whose lock was lost before they had ended.")


def rang() -> None:
    _rings.inc()


def ring_failed(reason: str) -> None:
    _rings_failed.labels(reason).inc()


def claimed(queue: str, count: int) -> None:
    _claimed.labels(queue).inc(count)


def settled(type_name: str, outcome: str, seconds: float) -> None:
    count, run_time = _of(type_name, outcome)
    count.inc()
    run_time.observe(seconds)


@cache
def _of(type_name: str, outcome: str) -> tuple[Counter, Histogram]:
    """Return what counts these endings: to look a label up takes longer than to count."""
    return _settled.labels(type_name, outcome), _seconds.labels(type_name)


def refused(count: int) -> None:
    _stale.inc(count)


def handed_over(jobs: int) -> None:
    _hand_overs.inc()
    _handed.inc(jobs)


def lost(count: int = 1) -> None:
    _lost.inc(count)


def lock_refused(why: str) -> None:
    """Count a claim that was put off or put away: `busy`, `away` or `unknown`."""
    _lock_refused.labels(why).inc()


def lock_lost() -> None:
    _lock_lost.inc()


def committed() -> None:
    _commits.inc()


def reconnected() -> None:
    _reconnects.inc()


def holds(count: int) -> None:
    _held.set(count)


def moved(count: int) -> None:
    _moved.inc(count)


def rescued(count: int) -> None:
    _rescued.inc(count)
