"""The job type that is measured; workers import it because JOB_MODULES names it."""

import pydantic

from apps.jobs import Context, job_type
from bench import stamps

NAME, QUEUE = "bench.job", "bench"


class Body(pydantic.BaseModel):
    number: int
    enqueued: float
    length_ms: float = 0


@job_type(NAME, payload=Body, queue=QUEUE)
def run(_job: Context, payload: Body) -> None:
    """Stamp the moment it starts."""
    stamps.body(payload.number, payload.enqueued, payload.length_ms)
