"""A job type that writes under its lock, waits, and writes again: for a worker that is stopped in between."""

import json
from datetime import timedelta
from pathlib import Path

import pydantic

from apps.jobs import Context, Fixed, job_type, registry
from tests.support.desk import Desk
from tests.support.three import Three


class Writes(pydantic.BaseModel):
    """Whose accounts they are, and where the test waits for what was said."""

    key: str
    address: str
    desk: str


@job_type(
    "frozen.writes", payload=Writes, queue="frozen", retry=Fixed(seconds=0), lock="{key}", lock_lease=timedelta(seconds=6),
    on_busy="snooze",
)
def write(job: Context, payload: Writes) -> int | None:
    """Write twice, with what the test does in between; leave a note of what each store said."""
    assert job.lock_token is not None
    three = Three(payload.key, cassandra=payload.address)
    said = [three.write(f"first of {job.attempt}", token=job.lock_token)]
    Desk(payload.desk).begin(job)
    Desk(payload.desk).wait(lambda: None)
    said.append(three.write(f"last of {job.attempt}", token=job.lock_token))
    note = Path(payload.desk) / f"said.{job.attempt}"
    part = note.with_suffix(".part")
    part.write_text(json.dumps({"token": job.lock_token, "said": said}))
    part.rename(note)
    return job.lock_token


TYPE = registry.get("frozen.writes")
