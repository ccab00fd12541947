"""The knobs of this app, read from Django's settings once."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from django.conf import settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Numbers that an operator may want to change, with their defaults; durations are in seconds."""

    lease_seconds: float = 30.0
    """How long a worker's silence is believed to be a pause."""
    tickets: int = 20
    """Tickets that may stand in a queue's line; about the number of workers that should wake at once."""
    stop_grace_seconds: float = 25.0
    """How long a warm stop waits for running handlers; the container's own grace must be 5 s longer."""
    cancel_grace_seconds: float = 5.0
    """How long a handler may take to notice its cancellation before its process is ended."""
    rescue_cap: int = 3
    """Rescues after which the next loss of the worker ends the job as a dead letter."""
    retention: timedelta = timedelta(days=7)
    """How long completed and cancelled jobs are kept."""
    artifact_max_bytes: int = 50 * 1024 * 1024
    """The most bytes of one artifact."""
    artifacts_per_job: int = 100
    """How many artifacts one job may have."""
    artifact_keep: timedelta = timedelta(days=7)
    """How long an artifact is kept unless whoever saves it says otherwise."""
    report_max_bytes: int = 512 * 1024 * 1024
    """The most bytes of a report's file: a million rows are more than what others may send in."""
    guard: str = "none"
    """What every job is guarded by beside its type's own lock: `none`, `worker` (one lock a start) or `job` (its id's lock)."""
    shelf_dir: Path = Path("/dev/shm")   # noqa: S108  memory that outlives processes; what lies there is believed only from ourselves
    """Where what a killed worker has told outlives it; one for all workers of a host."""
    metrics_port: int = 0
    """The first port that a worker tries for its metrics; 0: none."""

    @property
    def heartbeat_seconds(self) -> float:
        return min(self.lease_seconds / 3, 10.0)

    @property
    def margin_seconds(self) -> float:
        """How much earlier than the database a worker stops trusting its lease."""
        return self.lease_seconds / 10


def config() -> Config:
    """Return the configuration of this process."""
    return getattr(settings, "JOBS", None) or Config()
