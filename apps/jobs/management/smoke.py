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
from apps.jobs.management.watch import Failed, WritingIsOff
from core import clock, outgoing

UNKNOWN = "smoke.no_such_type"
REAL = "http.request"
INNER = "report.generate"   # a real job that calls nobody, for where calls to inner addresses are closed


@dataclass(frozen=True, slots=True)
class Checked:
    """One line of the list. `holds` is None when the check was not made; the detail says why."""

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
    types: dict[str, str] = field(default_factory=dict)
    """Which types are known there, each with its queue."""
    body: dict[str, Any] = field(default_factory=dict)
    key: str = field(default_factory=lambda: f"smoke-{uuid.uuid4()}")
    job: dict[str, Any] = field(default_factory=dict)

    def run(self) -> Iterator[Checked]:
        """Make all checks in order, and yield each as it is made. What reads comes first, then what says whether jobs may come."""
        blocked = False
        checks: list[tuple[str, Callable[[], str], bool]] = [
            ("alive", self.alive, True), ("ready", self.ready, False), ("token", self.token, True), ("metrics", self.metrics, False),
            ("unknown type", self.refuses, False), ("queues", self.queues, True),
            ("accepts a job", self.accepts, True), ("runs it", self.runs, False), ("same key, same job", self.replays, False),
            ("same key, other body", self.mismatches, False),
        ]   # fmt: skip
        for name, check, is_needed in checks:
            checked = _tried(name, check) if not blocked else _left_out(name)
            blocked = blocked or checked.holds is None or (is_needed and not checked.holds)
            yield checked
        for name, check in self._samples().offered(set(self.types)):
            yield _tried(name, check) if not blocked else _left_out(name)

    def alive(self) -> str:
        answer = watch.expect(200, self.stack.get("/healthz", token=""))
        if answer.content != {"status": "ok"}:
            raise Failed(f"/healthz is not the platform's: {answer.complaint}")
        return f"/healthz answers in {duration(answer.seconds)}"

    def ready(self) -> str:
        answer = watch.expect(200, self.stack.get("/readyz", token=""))
        return ", ".join(answer.content.get("checks", {}))

    def token(self) -> str:
        self.types = {item["name"]: item["queue"] for item in self._listed("/api/v1/job-types?limit=200")}
        return f"lets us in; job types {', '.join(sorted(self.types))}"

    def queues(self) -> str:
        """See that the queues of what is to run are open: a job in a paused one waits until somebody resumes that."""
        samples = {name for name, _ in self._samples().offered(set(self.types))}
        wanted = {queue for name, queue in self.types.items() if name in {REAL, *samples}}
        paused = [each for each in self._listed("/api/v1/queues?limit=200") if each["paused"] and each["name"] in wanted]
        if paused:
            told = [f"{each['name']} is paused by {each['paused_by'] or '?'}: {each['paused_reason'] or '-'}" for each in paused]
            again = [f"manage.py queues_resume {each['name']}" for each in paused]
            raise Failed(f"{'; '.join(told)}. What is sent there waits until somebody resumes it: {'; '.join(again)}")
        return f"open: {', '.join(sorted(wanted))}"

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

    def _samples(self) -> Samples:
        return Samples(stack=self.stack, seconds=self.timeout_seconds, mail_to=self.mail_to)

    def _posted(self, body: dict[str, Any]) -> Answer:
        return watch.posted(self.stack, body, key=self.key, seconds=self.timeout_seconds)

    def _listed(self, path: str) -> list[dict[str, Any]]:
        content = watch.expect(200, self.stack.get(path)).content
        items: list[dict[str, Any]] = content["items"]
        return items


def _tried(name: str, check: Callable[[], str]) -> Checked:
    started = clock.elapsed()
    holds: bool | None
    try:
        holds, detail = True, check()
    except (Failed, outgoing.OutgoingError) as exc:
        holds, detail = False, str(exc)
    except WritingIsOff as exc:
        holds, detail = None, f"not tried: {exc}"
    return Checked(name, holds, printable(detail), clock.elapsed() - started)


def _left_out(name: str) -> Checked:
    return Checked(name, None, "not tried", 0.0)
