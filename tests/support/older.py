"""The earlier version of `newer`: one type with its payload of then."""

from apps.jobs import Context, NoRetry, job_type
from tests.support.scripted import Script

MOVED = "scripted.moved"


@job_type(MOVED, payload=Script, payload_version=1, queue="scripted", retry=NoRetry())
def moved(job: Context, script: Script) -> str:
    return "version 1"
