"""What the platform refuses or reports about jobs. Each error carries its facts and writes its own sentence."""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass

from pydantic_core import PydanticCustomError

from core.errors import PlatformError

TOLD = "told"   # the type of such an error of pydantic


class JobError(PlatformError):
    """The root of the errors of this app."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with an input: where (an RFC 6901 pointer) and what to do."""

    pointer: str
    detail: str


def refused(reason: str, *, field: str | tuple[str | int, ...] = ()) -> PydanticCustomError:
    """Return what a validator of a payload raises, so that callers are told `reason` and nothing else.

    It is told to everybody, also where fields of the type are sealed: put no value of such a field into it. `field` is
    for a validator of a whole model: the member that is to be changed, or the way to it.
    """
    way = (field,) if isinstance(field, str) else field
    return PydanticCustomError(TOLD, "{reason}", {"reason": reason, "field": way})


class InvalidJob(JobError):
    """The request cannot become a job; `problems` name each field and its fix."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = list(problems)
        super().__init__("; ".join(f"{problem.pointer or 'the job'}: {problem.detail}" for problem in self.problems))


class InvalidArtifact(InvalidJob):
    """The file cannot be kept as it was given; `pointer` says which part of the request is meant."""

    def __init__(self, pointer: str, detail: str) -> None:
        super().__init__([Problem(pointer, detail)])


class ArtifactTooLarge(InvalidArtifact):
    """More bytes came than one artifact may have; nothing of it was kept."""

    def __init__(self, *, most: int) -> None:
        self.most = most
        super().__init__("/file", f"is larger than {most} bytes, the most that an artifact may have (ARTIFACT_MAX_BYTES)")


class UnknownArtifact(JobError, LookupError):
    def __init__(self, artifact_id: object, detail: str = "") -> None:
        self.artifact_id = artifact_id
        super().__init__(detail or f"there is no artifact {artifact_id}: it never was, or its time is over")


class VanishedArtifact(UnknownArtifact):
    """The row is there and its file is not: somebody removed it from the storage, or each machine has its own."""

    def __init__(self, artifact_id: object) -> None:
        hint = "it was removed from the storage, or this process sees another storage than the one that kept it"
        super().__init__(artifact_id, f"the file of artifact {artifact_id} is gone: {hint}")


class ArtifactsUnavailable(JobError):
    """The storage of artifacts did not do what it was asked for; the cause tells why. It may later."""


class InvalidPayload(JobError):
    """A stored payload cannot be read by its type; of sealed fields the text says where, never what."""


class PayloadModelFailed(JobError):
    """The payload model of a type with sealed fields raised something else than that the payload is wrong.

    Its text and its traceback may hold the value, so that neither comes along.
    """

    def __init__(self, error: str) -> None:
        super().__init__(f"the payload model raised {error}; its text is not shown, because the type has sealed fields")


class UnknownJobType(InvalidJob):
    def __init__(self, name: str, *, known: Iterable[str]) -> None:
        self.name, self.known = name, sorted(known)
        hint = "JOB_MODULES names the modules of others, for every process"
        super().__init__([Problem("/type", f"{name!r} is not a job type; known are {', '.join(self.known)} ({hint})")])


class UnknownQueue(InvalidJob):
    def __init__(self, name: str, *, known: Iterable[str]) -> None:
        self.name, self.known = name, sorted(known)
        super().__init__([Problem("/queue", f"{name!r} is not a queue; known are {', '.join(self.known)}")])


class DuplicateJobType(JobError):
    def __init__(self, name: str) -> None:
        super().__init__(f"the job type {name!r} is registered twice: names are stored in rows, so each needs its own")


class UniqueConflict(JobError):
    """An unfinished job has the same `unique_key`; `job_id` is that job, `pointer` where in the request the key stands."""

    def __init__(self, job_id: uuid.UUID, *, unique_key: str, detail: str = "", pointer: str = "") -> None:
        self.job_id, self.unique_key, self.pointer = job_id, unique_key, pointer
        super().__init__(detail or f"job {job_id} is unfinished and has the unique_key {unique_key!r}")


class JobNotFound(JobError):
    def __init__(self, job_id: object) -> None:
        self.job_id = job_id
        super().__init__(f"there is no job {job_id}")


class QueueNotFound(JobError):
    def __init__(self, name: str, *, known: Iterable[str]) -> None:
        self.name, self.known = name, sorted(known)
        super().__init__(f"there is no queue {name!r}; known are {', '.join(self.known)}")


class NotPaused(JobError):
    """Somebody wanted to resume a queue that is open, or that another has resumed a moment ago."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"the queue {name!r} is not paused")


class NotAllowedNow(JobError):
    """The job's status forbids the action; nothing was changed."""

    def __init__(self, action: str, *, job_id: uuid.UUID, status: str, allowed: Iterable[str]) -> None:
        self.action, self.job_id, self.status = action, job_id, status
        super().__init__(f"job {job_id} is {status}: {action} is for {', '.join(allowed)}")


class RoleNeeded(JobError):
    """The type of the job asks for more than whoever acts may do; nothing was changed."""

    def __init__(self, action: str, *, type_name: str, role: str) -> None:
        self.action, self.type_name, self.role = action, type_name, role
        super().__init__(f"to {action} this job of {type_name} needs the role {role}")


class JobBusy(JobError):
    """Somebody holds the job's row, a handler in its transaction perhaps; nothing was changed, try again."""

    def __init__(self, job_id: object) -> None:
        self.job_id = job_id
        super().__init__(f"job {job_id} is being written by its handler or by an edit: try again in a moment")


class Stopped(JobError):
    """Raised in a handler by `job.check()`: there is no point in going on."""


class Cancelled(Stopped):
    def __init__(self, job_id: object) -> None:
        super().__init__(f"the cancellation of job {job_id} was requested")


class LeaseLost(Stopped):
    def __init__(self, job_id: object) -> None:
        super().__init__(f"job {job_id} is no longer this worker's: whatever it writes will be refused")


class DeadlineExceeded(Stopped):
    def __init__(self, job_id: object, *, timeout_seconds: float) -> None:
        super().__init__(f"job {job_id} ran longer than its timeout of {timeout_seconds:g} s")


class Fenced(Stopped):
    """The row is no longer under this attempt's fence: the transaction was rolled back, and nothing was written."""

    def __init__(self, job_id: object, *, fence: int) -> None:
        self.job_id, self.fence = job_id, fence
        super().__init__(f"job {job_id} is no longer held under fence {fence}: nothing was written")


class UnstorableResult(JobError):
    """What the handler returned is not JSON, or is too large."""
