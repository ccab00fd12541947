"""Save a file: what is not committed leaves nothing behind."""

import uuid
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from django.db import DatabaseError, InterfaceError, OperationalError, connection, transaction
from django.db.models.functions import Now

from apps.jobs.conf import config
from apps.jobs.errors import ArtifactsUnavailable, Fenced, InvalidArtifact
from apps.jobs.lifecycle import Status
from apps.jobs.models import Artifact, Job, LooseFile
from apps.jobs.services.artifacts import files, naming
from apps.jobs.services.artifacts.measuring import Content, Measured, source
from apps.jobs.transitions import settle
from apps.jobs.transitions.statement import on_django
from core import audit

__all__ = ["Content", "save", "save_in_attempt"]
LONGEST_SAVING = timedelta(days=1)
LONGEST_KEEPING = timedelta(days=3650)


def save(
    name: str, file: BinaryIO | bytes | Path, *, job_id: uuid.UUID | None = None, keep: timedelta | None = None,
    most_bytes: int | None = None,
) -> Artifact:
    """Save a file, and return its row; `keep` is how long, `most_bytes` how large it may be, else the settings say.

    The name is cleaned (see `naming`), the content type told by the content. An artifact of the same job and name keeps
    its id and gets the new file. Raise `InvalidArtifact` for what breaks a limit, `ArtifactsUnavailable` for a storage
    that fails; then nothing is kept. Inside a transaction the row comes with its commit.
    """
    return _Saving(naming.clean(name), job_id=job_id, fence=None, keep=keep, most=most_bytes).save(file)


def save_in_attempt(
    name: str, file: BinaryIO | bytes | Path, *, job_id: uuid.UUID, fence: int, keep: timedelta | None = None,
    most_bytes: int | None = None,
) -> Artifact:
    """Save a file of an attempt that holds its job; raise `Fenced` when it does not, and keep nothing."""
    return _Saving(naming.clean(name), job_id=job_id, fence=fence, keep=keep, most=most_bytes).save(file)


class _Saving:
    def __init__(
        self, name: str, *, job_id: uuid.UUID | None, fence: int | None, keep: timedelta | None, most: int | None,
    ) -> None:
        self._name, self._job_id, self._fence = name, job_id, fence
        self._keep = config().artifact_keep if keep is None else keep
        self._most = config().artifact_max_bytes if most is None else most
        if not timedelta(0) < self._keep <= LONGEST_KEEPING:
            raise InvalidArtifact("/keep", "must be above 0 and at most ten years")
        self._path = files.new_path()

    def save(self, content: Content) -> Artifact:
        self._refuse_stale(hold=False)   # before a byte is stored
        LooseFile.objects.create(path=self._path, delete_after=Now() + LONGEST_SAVING)
        try:
            with source(content) as stream:
                measured = Measured(stream, most=self._most)
                self._write(measured)
        except BaseException:   # also a process that is being ended
            self._take_back()
            raise
        try:
            with transaction.atomic():
                return self._record(measured)
        except (OperationalError, InterfaceError):   # the commit may have happened: pruning will see
            raise
        except Exception:
            self._take_back()
            raise

    def _write(self, measured: Measured) -> None:
        try:
            files.write(self._path, measured)  # type: ignore[arg-type]  # raw, not buffered: as good to read from
        except ArtifactsUnavailable:
            if measured.failure is not None:
                raise measured.failure from None
            raise

    def _refuse_stale(self, *, hold: bool) -> None:
        """Raise `Fenced` for an attempt that no longer has its job. A look saves work; the hold decides."""
        if self._fence is None or self._job_id is None:
            return
        if hold:
            ours = settle.hold(on_django(), job_id=self._job_id, fence=self._fence)
        else:
            ours = Job.objects.filter(id=self._job_id, fence=self._fence, status=Status.RUNNING).exists()
        if not ours:
            raise Fenced(self._job_id, fence=self._fence)

    def _record(self, measured: Measured) -> Artifact:
        self._refuse_stale(hold=True)
        now = _one_at_a_time(self._job_id)
        if not LooseFile.objects.filter(path=self._path).delete()[0]:
            raise ArtifactsUnavailable(f"saving took longer than {LONGEST_SAVING}: the file was given up")
        artifact = self._before(now) or Artifact(job_id=self._job_id, name=self._name)
        if artifact.file.name:
            self._release(artifact.file.name)
        artifact.content_type, artifact.size, artifact.sha256 = measured.content_type, measured.size, measured.sha256
        artifact.created_at, artifact.expires_at, artifact.file.name = now, now + self._keep, self._path
        artifact.save()
        if audit.current() is not audit.SYSTEM:   # a person's upload; what jobs save, their rows tell
            facts = {name: getattr(artifact, name) for name in ("name", "content_type", "size", "sha256")}
            audit.record(action="artifact.save", target=f"artifact:{artifact.id}", after=facts)
        return artifact

    def _before(self, now: datetime) -> Artifact | None:
        """Return the job's artifact of this name, or None when there is none and room for one."""
        if self._job_id is None:
            return None
        of_job = Artifact.objects.filter(job_id=self._job_id)
        found = of_job.select_for_update().filter(name=self._name).first()
        most = config().artifacts_per_job
        if found is None and of_job.filter(expires_at__gt=now).count() >= most:
            detail = f"job {self._job_id} has {most} artifacts already, the most that it may have (ARTIFACTS_PER_JOB)"
            raise InvalidArtifact("", detail)
        return found

    def _release(self, path: str) -> None:
        """Let the replaced file go with the commit that replaces it."""
        LooseFile.objects.create(path=path, delete_after=Now())
        transaction.on_commit(lambda: _delete(path), robust=True)

    def _take_back(self) -> None:
        with suppress(ArtifactsUnavailable, DatabaseError):   # what fails here, pruning does later
            _delete(self._path)


def _delete(path: str) -> None:
    files.remove(path)
    LooseFile.objects.filter(path=path).delete()


def _one_at_a_time(job_id: uuid.UUID | None) -> datetime:
    """Wait until nobody else saves for this job, and return the time: else two could take its last place or one name."""
    with connection.cursor() as cursor:
        if job_id is not None:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"artifacts\n{job_id}"])
        cursor.execute("SELECT clock_timestamp()")
        now: datetime = cursor.fetchone()[0]
        return now
