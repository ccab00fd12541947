"""A later version of an application, as its new workers know it: a type that old ones do not, and a newer payload."""

from apps.jobs import Context, NoRetry, job_type
from tests.support.scripted import Script

NEW, MOVED = "scripted.new", "scripted.moved"


@job_type(NEW, payload=Script, queue="scripted", retry=NoRetry())
def new(job: Context, script: Script) -> str:
    return "done by a new worker"


@job_type(MOVED, payload=Script, payload_version=2, queue="scripted", retry=NoRetry())
def moved(job: Context, script: Script) -> str:
    return "version 2"
