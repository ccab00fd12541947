"""What must hold of a running stack, from one end to the other: each check asks over HTTP and says what it saw."""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from apps.jobs.management import watch
from apps.jobs.management.output import duration, printable
from apps.jobs.management.samples import Samples, last_hour
from apps.jobs.management.stack import Answer, Stack
from apps.jobs.management.watch import Failed
from core import clock, outgoing

UNKNOWN = "smoke.no_such_type"
REAL = "http.request"
INNER = "report.generate"   # a real job that calls nobody, for where calls to inner addresses are closed


@dataclass(frozen=True, slots=True)
class Checked:
    """One line of the list. `holds` is None when the check could not be made, because one before it failed."""

    name: str
    holds: bool | None
    detail: str
    seconds: float


@dataclass(slots=True, kw_only=True)
class Smoke:
    """One run. `call` is what the job asks for; it must be reachable from the workers. `mail_to`: see `Samples`."""

    stack: Stack
    call: str
    timeout_seconds: float
    metrics_token: str = ""
    mail_to: str = ""
    types: set[str] = field(default_factory=set)
    body: dict[str, Any] = field(default_factory=dict)
    key: str = field(default_factory=lambda: f"smoke-{uuid.uuid4()}")
    job: dict[str, Any] = field(default_factory=dict)

    def run(self) -> Iterator[Checked]:
        """Make all checks in order, and yield each as it is made."""
        blocked = False
        checks: list[tuple[str, Callable[[], str], bool]] = [
            ("alive", self.alive, True), ("ready", self.ready, False), ("token", self.token, True),
            ("accepts a job", self.accepts, True), ("runs it", self.runs, False), ("same key, same job", self.replays, False),
            ("same key, other body", self.mismatches, False), ("unknown type", self.refuses, False),
            ("metrics", self.metrics, False),
        ]   # fmt: skip
        for name, check, is_needed in checks:
            checked = _tried(name, check) if not blocked else Checked(name, None, "not tried", 0.0)
            blocked = blocked or (is_needed and not checked.holds)
            yield checked
        samples = Samples(stack=self.stack, seconds=self.timeout_seconds, mail_to=self.mail_to)
        for name, check in samples.offered(self.types):
            yield _tried(name, check) if not blocked else Checked(name, None, "not tried", 0.0)

    def alive(self) -> str:
        answer = watch.expect(200, self.stack.get("/healthz", token=""))
        if answer.content != {"status": "ok"}:
            raise Failed(f"/healthz is not the platform's: {answer.complaint}")
        return f"/healthz answers in {duration(answer.seconds)}"

    def ready(self) -> str:
        answer = watch.expect(200, self.stack.get("/readyz", token=""))
        return ", ".join(answer.content.get("checks", {}))

    def token(self) -> str:
        self.types = {item["name"] for item in self._listed("/api/v1/job-types?limit=200")}
        return f"lets us in; job types {', '.join(sorted(self.types))}"

    def accepts(self) -> str:
        """Post a real job; where inner addresses are closed to jobs, one that needs none."""
        self.body = {"type": REAL, "payload": {"method": "GET", "url": self.call}, "max_attempts": 1, "tags": ["smoke"]}
        answer = self._posted(self.body)
        note = ""
        if answer.status == 422 and "/payload/url" in answer.complaint and INNER in self.types:
            note = f" (jobs may not call {self.call} there)"
            self.body, self.key = {"type": INNER, "payload": last_hour("csv"), "tags": ["smoke"]}, f"{self.key}-inner"
            answer = self._posted(self.body)
        self.job = watch.expect(201, answer).content
        if not answer.headers.get("location", "").endswith(f"/jobs/{self.job['id']}"):
            raise Failed(f"Location is {answer.headers.get('location')!r}, which is not the job's address")
        return f"{self.job['type']} {self.job['id']} in {duration(answer.seconds)}{note}"

    def runs(self) -> str:
        """Wait until the job has ended, and say how."""
        self.job = watch.completed(self.stack, self.job, seconds=self.timeout_seconds)
        created, started, finished = (
            datetime.fromisoformat(self.job[name]) for name in ("created_at", "started_at", "finished_at")
        )
        waited, ran = (started - created).total_seconds(), (finished - started).total_seconds()
        return f"completed in attempt {self.job['attempt']}: waited {duration(waited)}, ran {duration(ran)}"

    def replays(self) -> str:
        again = watch.expect(200, self._posted(self.body)).content
        if again["id"] != self.job["id"]:
            raise Failed(f"the key was answered with another job, {again['id']}")
        return "the same Idempotency-Key made no second job"

    def mismatches(self) -> str:
        return f"refused: {watch.expect(422, self._posted({**self.body, 'priority': 9})).complaint}"

    def refuses(self) -> str:
        answer = self.stack.post("/api/v1/jobs", {"type": UNKNOWN, "payload": {}})
        if REAL not in watch.expect(422, answer).complaint:
            raise Failed(f"does not name the known types: {answer.complaint}")
        return f"refused: {answer.complaint}"

    def metrics(self) -> str:
        answer = self.stack.get("/metrics", token=self.metrics_token)
        if answer.status == 401:
            return "closed: it asks for METRICS_TOKEN, which is not the one set here"
        names = {line.split()[2] for line in watch.expect(200, answer).text.splitlines() if line.startswith("# TYPE latchwork_")}
        if not names:
            raise Failed("answers without a single metric of the platform")
        return f"{len(names)} metrics of the platform"

    def _posted(self, body: dict[str, Any]) -> Answer:
        return watch.posted(self.stack, body, key=self.key, seconds=self.timeout_seconds)

    def _listed(self, path: str) -> list[dict[str, Any]]:
        content = watch.expect(200, self.stack.get(path)).content
        items: list[dict[str, Any]] = content["items"]
        return items


def _tried(name: str, check: Callable[[], str]) -> Checked:
    started = clock.elapsed()
    try:
        holds, detail = True, check()
    except (Failed, outgoing.OutgoingError) as exc:
        holds, detail = False, str(exc)
    return Checked(name, holds, printable(detail), clock.elapsed() - started)
