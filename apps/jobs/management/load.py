"""Put a load on a stack over HTTP and watch what becomes of it, without ever running for longer than was asked."""

import threading
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from apps.jobs.lifecycle import FINISHED, Status
from apps.jobs.management.stack import Answer, Stack
from core import clock, outgoing

SHORTEST_LOOK_SECONDS = 0.5
HOPELESS = (400, 401, 403, 404, 415, 422)   # the next request would be told the same


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Of the POSTs that were answered, in milliseconds."""

    p50: float
    p95: float
    p99: float
    most: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Ends:
    """What became of the accepted jobs, by the platform's own clock."""

    by_status: dict[str, int]
    seconds: float
    per_second: float


@dataclass(slots=True, kw_only=True)
class Report:
    """What was sent, how it was answered, and how it ended."""

    count: int
    accepted: int = 0
    limited: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    latency_ms: Latency | None = None
    ends: Ends | None = None
    stopped: str = ""

    @property
    def is_good(self) -> bool:
        """Return whether all were accepted and, as far as was looked, completed."""
        ended_well = self.ends is None or self.ends.by_status == {Status.COMPLETED.value: self.accepted}
        return self.accepted == self.count and ended_well

    def facts(self) -> dict[str, Any]:
        """Return all of it for a machine."""
        rate = self.accepted / self.seconds if self.seconds else 0.0
        return {**asdict(self), "failed": dict(self.failed), "per_second": rate, "ok": self.is_good}


@dataclass(slots=True, kw_only=True)
class Load:
    """One run: `count` jobs by `concurrency` threads, all of which end by `timeout_seconds` from the start."""

    stack: Stack
    job: dict[str, Any]
    count: int
    concurrency: int
    timeout_seconds: float
    report: Report = field(init=False)
    tag: str = field(default_factory=lambda: f"loadtest-{uuid.uuid4().hex[:12]}")
    _left: int = field(init=False)
    _started: float = field(init=False, default=0.0)
    _free_from: float = field(init=False, default=0.0)
    _seconds: list[float] = field(init=False, default_factory=list)
    _mutex: threading.Lock = field(init=False, default_factory=threading.Lock)
    _stop: threading.Event = field(init=False, default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.report = Report(count=self.count)
        self._left = self.count

    def post(self, *, watch: Callable[["Load"], None], every_seconds: float) -> None:
        """Send all jobs, and let `watch` look now and then; on Ctrl-C what is on its way still ends."""
        self._started = clock.elapsed()
        threads = [
            threading.Thread(target=self._work, name=f"load-{number}", daemon=True)
            for number in range(min(self.concurrency, self.count))
        ]
        for thread in threads:
            thread.start()
        try:
            while any(thread.is_alive() for thread in threads):
                self._join(threads, seconds=every_seconds)
                watch(self)
        except KeyboardInterrupt:
            self._give_up("interrupted")
            self._join(threads, seconds=every_seconds)
        self.report.seconds = clock.elapsed() - self._started
        self.report.latency_ms = latency(self._seconds)

    def poll(self, *, watch: Callable[[Counter[str]], None]) -> None:
        """Look at the accepted jobs until all have ended or the time is over."""
        while True:
            began = clock.elapsed()
            if self._look(watch):
                return
            took = clock.elapsed() - began   # a long list is looked at less often: the look is a load too
            if self._stop.wait(max(SHORTEST_LOOK_SECONDS, took)) or self._is_over():
                self.report.stopped = self.report.stopped or "the time is over, and not all jobs have ended"
                return

    def _look(self, watch: Callable[[Counter[str]], None]) -> bool:
        """Look once, and return whether all have ended; a look without an answer is no reason to stop looking."""
        try:
            jobs = list(self.stack.items(f"/api/v1/jobs?{urlencode({'tag': self.tag, 'limit': 200})}"))
        except outgoing.OutgoingError:
            return False
        states = Counter(job["status"] for job in jobs)
        watch(states)
        self.report.ends = ends(jobs)
        return sum(states[status.value] for status in FINISHED) >= self.report.accepted

    def _join(self, threads: list[threading.Thread], *, seconds: float) -> None:
        deadline = clock.elapsed() + seconds
        for thread in threads:
            thread.join(max(0.0, deadline - clock.elapsed()))

    def _work(self) -> None:
        while self._take():
            while (answer := self._try()) is not None and answer.status == 429 and not self._is_over():
                with self._mutex:
                    self.report.limited += 1
                    self._free_from = max(self._free_from, clock.elapsed() + answer.retry_after_seconds)
            self._count(answer)

    def _take(self) -> bool:
        with self._mutex:
            if self._left == 0 or self._is_over():
                return False
            self._left -= 1
            return True

    def _try(self) -> Answer | None:
        """Post once, not before the rate limit's word; None when no answer came, which is counted here."""
        while (pause := self._free_from - clock.elapsed()) > 0 and not self._is_over():
            self._stop.wait(min(pause, 0.2))
        try:
            return self.stack.post("/api/v1/jobs", {**self.job, "tags": [self.tag]})
        except outgoing.OutgoingError as exc:
            with self._mutex:
                self.report.failed[type(exc).__name__] += 1
            return None

    def _count(self, answer: Answer | None) -> None:
        if answer is None:
            return
        with self._mutex:
            self._seconds.append(answer.seconds)
            if answer.status == 201:
                self.report.accepted += 1
                return
            self.report.failed[str(answer.status)] += 1
        if answer.status in HOPELESS:
            self._give_up(answer.complaint)

    def _give_up(self, reason: str) -> None:
        self.report.stopped = self.report.stopped or reason
        self._stop.set()

    def _is_over(self) -> bool:
        if clock.elapsed() - self._started > self.timeout_seconds:
            self._give_up(f"{self.timeout_seconds:g} s are over")
        return self._stop.is_set()


def latency(seconds: list[float]) -> Latency | None:
    """Return the percentiles by nearest rank: each is a latency that really was."""
    if not seconds:
        return None
    ordered = sorted(value * 1000 for value in seconds)

    def rank(percent: int) -> float:
        return round(ordered[max(0, -(-len(ordered) * percent // 100) - 1)], 2)

    return Latency(p50=rank(50), p95=rank(95), p99=rank(99), most=round(ordered[-1], 2))


def ends(jobs: list[dict[str, Any]]) -> Ends:
    """Return how jobs stand, and from the first's creation to the last's end how many ended a second."""
    finished = [datetime.fromisoformat(job["finished_at"]) for job in jobs if job["finished_at"]]
    states = dict(Counter(job["status"] for job in jobs))
    if not finished:
        return Ends(by_status=states, seconds=0.0, per_second=0.0)
    seconds = (max(finished) - min(datetime.fromisoformat(job["created_at"]) for job in jobs)).total_seconds()
    return Ends(by_status=states, seconds=seconds, per_second=len(finished) / seconds if seconds else 0.0)
