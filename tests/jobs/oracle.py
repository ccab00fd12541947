"""What must be true of jobs' rows whatever happens, said a second time and independently of the SQL."""

import uuid
from dataclasses import dataclass, field
from typing import Any

from apps.jobs.lifecycle import TRANSITIONS, AttemptOutcome, Status
from apps.jobs.transitions.settle import Ending
from tests.support.factories import RESCUE_CAP

Row = dict[str, Any]
FINISHED = {"completed", "cancelled", "dead_letter"}
CHARGED = {AttemptOutcome.FAILED, AttemptOutcome.TIMED_OUT}


def leads_to(row: Row, ending: Ending, *, has_other: bool) -> str:
    """Return the status that an ending of the attempt which holds a job leads to; `has_other`: its lock's key has another head."""
    outcome = ending.outcome
    if outcome in {AttemptOutcome.COMPLETED, AttemptOutcome.CANCELLED}:
        return str(outcome.value)
    out_of_attempts = ending.delay_seconds is None or row["failures"] + 1 >= row["max_attempts"]
    out_of_rescues = row["rescues"] >= RESCUE_CAP
    if outcome == AttemptOutcome.DISCARDED or (outcome in CHARGED and out_of_attempts):
        return "dead_letter"
    if outcome == AttemptOutcome.WORKER_LOST and out_of_rescues:
        return "dead_letter"
    if row["cancel_requested_at"]:
        return "cancelled"
    if outcome in CHARGED:
        return "retrying"
    put_off = outcome == AttemptOutcome.SNOOZED or (outcome == AttemptOutcome.LOCK_BUSY and not has_other)
    return "scheduled" if put_off else "queued"


def rescue_leads_to(row: Row) -> str:
    """Return the status of a job whose worker fell silent."""
    if row["rescues"] >= RESCUE_CAP:
        return "dead_letter"
    return "cancelled" if row["cancel_requested_at"] else "queued"


@dataclass(slots=True)
class Truth:
    """What has happened so far, as somebody who saw everything would tell it."""

    stored: dict[str, None] = field(default_factory=dict)
    """Jobs that were enqueued and not pruned, in their order: a run must be repeatable, and ids are random."""
    holder: dict[str, int] = field(default_factory=dict)
    """The fence under which each running job is held."""
    failures: dict[str, int] = field(default_factory=dict)
    rescues: dict[str, int] = field(default_factory=dict)
    greatest_fence: int = 0
    refused: set[tuple[str, int, uuid.UUID | None]] = field(default_factory=set)
    """What the ledger holds: job, fence and worker."""
    pruned: dict[str, int] = field(default_factory=lambda: dict.fromkeys(FINISHED, 0))

    def enqueued(self, job_id: str) -> None:
        self.stored[job_id] = None
        self.failures[job_id] = self.rescues[job_id] = 0

    def claimed(self, job_id: str, fence: int) -> None:
        assert job_id not in self.holder, f"two attempts hold job {job_id}"
        assert fence > self.greatest_fence, f"fence {fence} came after {self.greatest_fence}"
        self.holder[job_id] = self.greatest_fence = fence

    def ended(self, job_id: str, outcome: AttemptOutcome) -> None:
        del self.holder[job_id]
        self.failures[job_id] += outcome in CHARGED
        self.rescues[job_id] += outcome == AttemptOutcome.WORKER_LOST

    def agrees_with(self, rows: dict[str, Row]) -> None:
        """Fail when the table says something else."""
        assert set(self.stored) == set(rows), "a job was lost, or came from nowhere"
        for job_id, row in rows.items():
            running = row["status"] == "running"
            assert running == (job_id in self.holder), f"{job_id} is {row['status']}, held under {self.holder.get(job_id)}"
            assert not running or row["fence"] == self.holder[job_id], f"{job_id} runs under {row['fence']}"
            assert (row["status"] in FINISHED) == (row["finished_at"] is not None)
            assert self.failures[job_id] == row["failures"] <= row["max_attempts"]
            assert self.rescues[job_id] == row["rescues"] <= RESCUE_CAP + 1
            assert running or row["worker_id"] is None or row["status"] in FINISHED


def legal(before: dict[str, Row], after: dict[str, Row]) -> None:
    """Fail when a row went a way that the lifecycle does not know."""
    for job_id in set(before) & set(after):
        was, became = Status(before[job_id]["status"]), Status(after[job_id]["status"])
        assert became == was or became in TRANSITIONS[was], f"{job_id} went from {was} to {became}"
