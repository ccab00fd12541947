import time
import uuid
from argparse import ArgumentParser
from datetime import datetime, timedelta
from typing import Any

from apps.jobs import registry, selectors
from apps.jobs import services as jobs
from apps.jobs.lifecycle import FINISHED, Status
from apps.jobs.management import facts
from apps.jobs.management.output import MutatingCommand, Refused, printable
from apps.jobs.models import Job
from apps.jobs.services.options import CONFLICTS
from core import clock
from core.management.arguments import document, duration, moment, number

LOOKS_EVERY_SECONDS = 0.1


class Command(MutatingCommand):
    help = "Enqueue a job and print its id; with --wait, stay until it ends and exit with 1 unless it completed."

    def arguments(self, parser: ArgumentParser) -> None:
        known = ", ".join(registry.names())
        parser.add_argument("type", metavar="TYPE", help=f"a job type; known are {known}")
        parser.add_argument(
            "payload", metavar="JSON", nargs="?", type=document, default={}, help="the payload; - reads standard input",
        )
        parser.add_argument("--queue", help="instead of the type's")
        parser.add_argument("--priority", type=number(0, 9), help="0 (first) to 9, instead of the type's")
        parser.add_argument("--max-attempts", type=number(1, 1000), help="instead of the type's")
        parser.add_argument("--timeout", type=duration, help="of an attempt: seconds, or 90s, 5m, 2h")
        when = parser.add_mutually_exclusive_group()
        when.add_argument("--delay", type=duration, help="not before so long from now: seconds, or 90s, 5m, 2h, 1d")
        when.add_argument("--run-at", type=moment, help="not before this moment, as in 2030-01-31T09:00:00Z")
        parser.add_argument("--unique-key", help="at most one unfinished job has it")
        parser.add_argument("--on-conflict", choices=CONFLICTS, default="reject", help="when another has the unique key")
        parser.add_argument("--tag", action="append", dest="tags", default=[], help="may be repeated")
        parser.add_argument("--wait", type=duration, metavar="SECONDS", help="stay until the job ends, at most so long")

    def act(
        self, *, type: str, payload: Any, wait: timedelta | None, delay: timedelta | None, run_at: datetime | None,  # noqa: A002  the argument's name
        **options: Any,
    ) -> None:
        names = ("queue", "priority", "max_attempts", "timeout", "unique_key", "on_conflict", "tags")
        chosen = jobs.Options(delay=delay, run_at=run_at, **{name: options[name] for name in names})
        placed = jobs.request(type, payload, chosen)
        job = selectors.job(placed.id)
        if self.dry_run:
            text = f"would enqueue {job.type} in the queue {job.queue}, {job.status}"
            kept = text if placed.created else f"would enqueue nothing: job {placed.id} has the unique key"
            self.answer({**facts.of_job(job), "created": placed.created, "dry_run": True}, text=kept)
            return
        if not placed.created:
            self.note("nothing was enqueued: this job has the unique key")
        if wait is None:
            self.answer({**facts.of_job(job), "created": placed.created}, text=str(placed.id))
            return
        if not self.as_json:
            self.stdout.write(str(placed.id))
            self.stdout.flush()
        job = self._ended(placed.id, seconds=wait.total_seconds())
        if self.as_json:
            self.answer({**facts.of_job(job), "created": placed.created}, text="")
        if job.status not in FINISHED:
            why = selectors.why_waiting(job)
            raise Refused(f"job {job.id} is still {job.status} after {wait.total_seconds():g} s" + (f": {why}" if why else ""))
        if job.status != Status.COMPLETED:
            raise Refused(f"job {job.id} ended as {job.status}: {printable((job.error or {}).get('message', ''))}")
        self.note(f"completed in attempt {job.attempt}")

    def _ended(self, job_id: uuid.UUID, *, seconds: float) -> Job:
        deadline = clock.elapsed() + seconds
        while (job := selectors.job(job_id)).status not in FINISHED and clock.elapsed() < deadline:
            time.sleep(min(LOOKS_EVERY_SECONDS, max(0.0, deadline - clock.elapsed())))
        return job
