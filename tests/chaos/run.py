"""One run: jobs, a fault while they run, and what must hold at the end."""

import os
import uuid
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.chaos.harness import LEASE_SECONDS, Stack

PATIENCE_SECONDS = 120      # a bound on waiting, not a claim
LAST_SECONDS = LEASE_SECONDS + 10                                  # the claim about the last job, after the fault's end
SLACK = 1 if os.environ.get("CHAOS_STRICT") == "true" else 3       # a machine that others use too is no quiet one
WORKER_CLAIMS = 102         # at most one full fetch in the stock, one job that runs, one whose end is on its way


@dataclass(frozen=True, slots=True)
class Event:
    """A line of the event log: what a handler did."""

    what: str
    job_id: str
    attempt: int
    fence: int
    pid: int
    at: float


@dataclass(frozen=True, slots=True)
class Findings:
    """What must not be, each as the offending rows. Nothing went wrong when it equals `Findings()`."""

    unfinished: list[Any] = field(default_factory=list)
    not_completed: list[Any] = field(default_factory=list)
    missing_effects: list[Any] = field(default_factory=list)
    double_effects: list[Any] = field(default_factory=list)
    effects_under_an_old_fence: list[Any] = field(default_factory=list)
    never_started: list[Any] = field(default_factory=list)
    started_more_often_than_charged: list[Any] = field(default_factory=list)
    started_under_an_old_fence: list[Any] = field(default_factory=list)
    charged_without_a_claim_at_the_fault: list[Any] = field(default_factory=list)
    late: list[Any] = field(default_factory=list)


class Run:
    """`jobs` jobs, half of them with an effect in their own transaction."""

    def __init__(self, stack: Stack, *, jobs: int | None = None, milliseconds: float = 5) -> None:
        self.stack, self.size = stack, 0
        self.plain: list[str] = []
        self.booking: list[str] = []
        self.slow: list[str] = []
        self.began = self.over = datetime.now(UTC)
        self.adds(stack.jobs if jobs is None else jobs, milliseconds=milliseconds)

    def adds(self, count: int, *, milliseconds: float = 5, **options: Any) -> None:
        """Enqueue more jobs, half of each type."""
        payloads = [{"milliseconds": milliseconds}] * count
        self.plain += self.stack.application.enqueue("chaos.work", payloads[: count // 2], **options)
        self.booking += self.stack.application.enqueue("chaos.book", payloads[count // 2 :], **options)
        self.size += count

    def reaches(self, share: float) -> None:
        """Wait until this share of the jobs has ended."""
        self.stack.until(
            lambda: self.finished() >= share * self.size, timeout=PATIENCE_SECONDS, otherwise=f"the run never got to {share:.0%}",
        )

    def finished(self) -> int:
        return self.stack.count("finished_at IS NOT NULL AND type LIKE 'chaos.%%'")

    @contextmanager
    def fault(self) -> Iterator[None]:
        """Note when the fault begins and ends."""
        self.began = datetime.now(UTC)
        yield
        self.over = datetime.now(UTC)

    def starts_slow_ones(self, milliseconds: int, *, count: int) -> list[Event]:
        """Have `count` long jobs, alternately of both types, begin at once before all others; their starts."""
        for number in range(count):
            name, known = (("chaos.work", self.plain), ("chaos.book", self.booking))[number % 2]
            known += (ids := self.stack.application.enqueue(name, [{"milliseconds": milliseconds}], priority=0))
            self.slow += ids
        self.size += count
        return self.stack.until(
            self._slow_ones_that_run, timeout=PATIENCE_SECONDS, otherwise="the slow jobs never ran together",
        )

    def ends(self) -> None:
        """Wait until every job has ended."""
        self.stack.until(lambda: self.finished() >= self.size, timeout=PATIENCE_SECONDS, otherwise="not all jobs ended")

    def findings(self, *, claimed_until: datetime | None = None) -> Findings:
        """Judge a run that has ended. `claimed_until`: after this moment no attempt that was lost may have been claimed."""
        starts, fences = defaultdict(list), dict(self.stack.query("SELECT id::text, fence FROM job"))
        for event in self.events("start"):
            starts[event.job_id].append(event)
        attempts = dict(self.stack.query("SELECT id::text, attempt FROM job"))
        effects = defaultdict(list)
        for job_id, fence in self.stack.query("SELECT job_id::text, fence FROM chaos_effect ORDER BY number"):
            effects[job_id].append(fence)
        bound = self.over + timedelta(seconds=LAST_SECONDS * SLACK)
        return Findings(
            unfinished=self._unfinished(),
            not_completed=self.stack.query(
                "SELECT id::text, status, attempt, failures, rescues, error ->> 'class' FROM job WHERE status <> 'completed' "
                "AND finished_at IS NOT NULL",
            ),
            missing_effects=[job_id for job_id in self.booking if not effects[job_id]],
            double_effects=[(job_id, found) for job_id, found in effects.items() if len(found) > 1],
            effects_under_an_old_fence=[(job_id, found) for job_id, found in effects.items() if found[-1:] != [fences[job_id]]],
            never_started=[job_id for job_id in (*self.plain, *self.booking) if not starts[job_id]],
            started_more_often_than_charged=[
                (job_id, attempts[job_id], found) for job_id, found in starts.items() if len(found) > attempts[job_id]
            ],
            started_under_an_old_fence=[
                found for found in starts.values() if [each.fence for each in found] != sorted({each.fence for each in found})
            ],
            charged_without_a_claim_at_the_fault=self._charged_elsewhere(claimed_until or self.over),
            late=self.stack.query("SELECT id::text, finished_at FROM job WHERE finished_at > %s", [bound]),
        )

    def events(self, what: str) -> list[Event]:
        """Return what handlers did, in the order in which it was written."""
        found = []
        for line in self.stack.events.read_text().splitlines():
            name, job_id, attempt, fence, pid, at = line.split()
            if name == what:
                found.append(Event(name, str(uuid.UUID(job_id)), int(attempt), int(fence), int(pid), float(at)))
        return found

    def doubles(self) -> int:
        """Return how many jobs were started more than once."""
        seen = [event.job_id for event in self.events("start")]
        return len({job_id for job_id in seen if seen.count(job_id) > 1})

    def charged(self) -> int:
        """Return how many jobs needed more than one attempt."""
        return self.stack.count("attempt > 1")

    def stale(self) -> set[tuple[str, int]]:
        """Return what stands in the stale ledger: jobs with the fences under which somebody wrote too late."""
        return set(self.stack.query("SELECT job_id::text, fence FROM job_stale_write"))

    def says(self, name: str) -> None:
        """Print what happened, a line a case."""
        last = self.stack.query("SELECT extract(epoch FROM max(finished_at) - %s)::float8 FROM job", [self.over])[0][0] or 0.0
        rescued = self.stack.query("SELECT count(*) FROM job_attempt WHERE outcome = 'worker_lost'")[0][0]
        tell(
            f"{name:<44} jobs {self.size:5} charged {self.charged():4} started again {self.doubles():4} rescued {rescued:4} "
            f"stale {len(self.stale()):3} last {last:5.1f} s after the fault",
        )

    def run_elsewhere(self, events: list[Event]) -> bool:
        """Tell whether all these attempts have been overtaken by others that run now."""
        running = dict(self.stack.query("SELECT id::text, fence FROM job WHERE status = 'running'"))
        began = {(event.job_id, event.fence) for event in self.events("start")}
        return all(
            running.get(each.job_id, 0) > each.fence and (each.job_id, running[each.job_id]) in began for each in events
        )

    def ended_too_early(self, milliseconds: float) -> list[Any]:
        """Return slow jobs that somebody ended before the attempt that held them last can have."""
        return self.stack.query(
            "SELECT id::text, started_at, finished_at FROM job WHERE id::text = ANY(%s) "
            "AND finished_at < started_at + %s * interval '1 ms'",
            [self.slow, milliseconds],
        )

    def _slow_ones_that_run(self) -> list[Event]:
        running = {row[0] for row in self.stack.query("SELECT id::text FROM job WHERE status = 'running'")}
        starts = [event for event in self.events("start") if event.job_id in self.slow and event.job_id in running]
        return starts if len(starts) == len(self.slow) else []

    def _unfinished(self) -> list[Any]:
        return self.stack.query(
            "SELECT id::text, type, status, attempt, worker_id::text FROM job WHERE finished_at IS NULL LIMIT 20",
        )

    def _charged_elsewhere(self, claimed_until: datetime) -> list[Any]:
        """Return attempts that were lost although the fault cannot have met them, and jobs whose lost attempts are unknown."""
        return self.stack.query(
            """
            SELECT a.job_id::text, a.number, a.outcome, a.started_at, a.finished_at, a.error ->> 'class' FROM job_attempt a
            WHERE a.started_at > %(until)s OR a.finished_at < %(began)s
            UNION ALL
            SELECT j.id::text, j.attempt, j.status, j.started_at, j.finished_at, 'attempts are missing' FROM job j
            WHERE j.attempt - 1 > (SELECT count(*) FROM job_attempt a WHERE a.job_id = j.id)""",
            {"until": claimed_until, "began": self.began},
        )


def tell(text: str) -> None:
    """Say what a case did; shown with `-s`, and when it fails."""
    print(text)  # noqa: T201  for whoever reads the log of a run
