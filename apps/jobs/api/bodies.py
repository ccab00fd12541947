"""What the routes read: bodies and query parameters. Whether a type or queue exists, and a payload fits, services know."""

from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import Field

from apps.jobs.lifecycle import Status
from apps.jobs.services import Options
from core.api.pagination import PageQuery
from core.api.parameters import Body, Moment, Query, Remark

MOST_IN_BULK = 1_000
WEEK_SECONDS, TEN_YEARS_SECONDS = 604_800, 315_360_000
BIGINT = 2**63 - 1
Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00]*$")]   # what PostgreSQL can hold


class NewJob(Body):
    """A job to enqueue. What is absent or null is as the type has it."""

    type: str = Field(description="A registered name, see /job-types.")
    payload: Any = Field(default_factory=dict, description="What the type's schema asks for.")
    queue: Name | None = Field(None, description="A queue that exists, see /queues.")
    priority: int | None = Field(None, ge=0, le=9, description="0 is first.")
    max_attempts: int | None = Field(None, ge=1, le=1000)
    timeout_seconds: float | None = Field(None, gt=0, le=WEEK_SECONDS)
    run_at: Moment | None = Field(None, description="Not before this moment; not together with delay_seconds.")
    delay_seconds: float | None = Field(None, ge=0, le=TEN_YEARS_SECONDS)
    unique_key: str | None = Field(None, min_length=1, max_length=255, description="At most one unfinished job has it.")
    on_conflict: Literal["reject", "return_existing", "replace"] = Field(
        "reject", description="What to do about an unfinished job with the same unique_key.",
    )
    tags: list[Name] = Field(default_factory=list, max_length=20)

    def options(self, *, request_id: str) -> Options:
        """Return what services take."""
        return Options(
            queue=self.queue,
            priority=self.priority,
            max_attempts=self.max_attempts,
            timeout=_span(self.timeout_seconds),
            delay=_span(self.delay_seconds),
            run_at=self.run_at,
            unique_key=self.unique_key,
            on_conflict=self.on_conflict,
            tags=self.tags,
            request_id=request_id,
        )


class NewJobs(Body):
    """Several jobs to enqueue, all or none."""

    jobs: list[NewJob] = Field(min_length=1, max_length=MOST_IN_BULK)


class Pause(Body):
    """Why a queue is paused."""

    reason: Remark = Field("", description="Shown to whoever wonders why its jobs wait.")


class JobQuery(PageQuery):
    """Which jobs to list, newest first."""

    status: Status | None = None
    type: Name | None = None
    queue: Name | None = None
    tag: Name | None = None
    created_after: Moment | None = Field(None, description="This moment and later.")
    created_before: Moment | None = Field(None, description="Earlier than this moment.")
    cron: int | None = Field(None, ge=1, le=BIGINT, description="The occurrences of one cron definition, by its id.")


class NoQuery(Query):
    """No parameters."""


def _span(seconds: float | None) -> timedelta | None:
    return None if seconds is None else timedelta(seconds=seconds)
