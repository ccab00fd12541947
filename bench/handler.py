"""The job types that are measured, the second with a hand-over for each job; workers import it because JOB_MODULES names it."""

import pydantic

from apps.jobs import Context, job_type
from bench import stamps

NAME, ALONE, QUEUE = "bench.job", "bench.alone", "bench"


class Body(pydantic.BaseModel):
    number: int
    enqueued: float
    length_ms: float = 0
    padding: str = ""


@job_type(NAME, payload=Body, queue=QUEUE)
@job_type(ALONE, payload=Body, queue=QUEUE, batch=1)
def run(_job: Context, payload: Body) -> None:
    """Stamp the moment it starts."""
    stamps.body(payload.number, payload.enqueued, payload.length_ms)
