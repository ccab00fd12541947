"""Remove artifacts whose time is over, and files that belong to none. Any number may do it at once."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta

import structlog
from django.db import connection, transaction
from django.db.models.functions import Now

from apps.jobs.errors import ArtifactsUnavailable
from apps.jobs.models import Artifact, LooseFile
from apps.jobs.services.artifacts import files
from core import audit, clock

BATCH = 100
NAMES = 500
OLD = timedelta(days=1)          # a stray file may belong to a transaction that has not ended
TRY_AGAIN = timedelta(hours=1)   # after a storage has refused to delete
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class PrunedArtifacts:
    """What went, or would go: artifacts, files that no artifact names any more, and files that nobody ever named."""

    artifacts: int
    loose_files: int
    stray_files: int


def prune(*, batch: int = BATCH, between: Callable[[], object] = lambda: None) -> PrunedArtifacts:
    """Delete what is kept no longer. A file that its storage does not delete is left to a later time.

    `between` is called between two batches, and may raise to end it there.
    """
    if audit.current() is not audit.SYSTEM:   # told before the first batch: it may be interrupted after any
        audit.record(action="artifacts.prune", target="artifacts")
    return PrunedArtifacts(
        artifacts=_all(_expire, batch=batch, between=between),
        loose_files=_all(_sweep, batch=batch, between=between),
        stray_files=sum(_removed(path) for path in _strays(between)),
    )


def prunable() -> PrunedArtifacts:
    """Count what `prune` would delete."""
    expired = Artifact.objects.filter(expires_at__lte=Now()).count()
    loose = LooseFile.objects.filter(delete_after__lte=Now()).count()
    return PrunedArtifacts(
        artifacts=expired, loose_files=expired + loose, stray_files=sum(1 for _ in _strays(lambda: None)),
    )


def _all(step: Callable[[int], tuple[int, int]], *, batch: int, between: Callable[[], object]) -> int:
    total = 0
    while True:
        with transaction.atomic():
            seen, done = step(batch)
        total += done
        if seen < batch:
            return total
        between()


def _expire(limit: int) -> tuple[int, int]:
    """Let the files of expired rows go, and delete the rows."""
    old = Artifact.objects.filter(expires_at__lte=Now()).order_by("expires_at")
    rows = dict(old.select_for_update(skip_locked=True)[:limit].values_list("id", "file"))
    LooseFile.objects.bulk_create(LooseFile(path=path, delete_after=Now()) for path in rows.values())
    Artifact.objects.filter(id__in=rows).delete()
    return len(rows), len(rows)


def _sweep(limit: int) -> tuple[int, int]:
    """Delete loose files under the locks of their rows, then the rows: a crash in between repeats what does no harm."""
    due = LooseFile.objects.filter(delete_after__lte=Now()).order_by("delete_after")
    paths = list(due.select_for_update(skip_locked=True)[:limit].values_list("path", flat=True))
    gone = [path for path in paths if _removed(path)]
    LooseFile.objects.filter(path__in=gone).delete()
    LooseFile.objects.filter(path__in=set(paths) - set(gone)).update(delete_after=Now() + TRY_AGAIN)
    return len(paths), len(gone)


def _removed(path: str) -> bool:
    try:
        files.remove(path)
    except ArtifactsUnavailable:   # said in the log where it happened
        return False
    return True


# One statement sees one moment: a path that stands in neither table now was let go by both, or never known to either.
_UNNAMED = """
SELECT f.path FROM unnest(%s::text[]) AS f(path)
WHERE NOT EXISTS (SELECT FROM job_artifact a WHERE a.file = f.path)
  AND NOT EXISTS (SELECT FROM job_loose_file l WHERE l.path = f.path)"""


def _strays(between: Callable[[], object]) -> Iterator[str]:
    """Yield files of our form, a day old or older, that nothing names. They are listed first, then looked for by name."""
    for folder in files.folders():
        found = files.listed(folder)
        for start in range(0, len(found), NAMES):
            for path in _unnamed(found[start:start + NAMES]):
                modified = files.modified_at(path)
                if modified is not None and modified < clock.now() - OLD:
                    yield path
        between()


def _unnamed(paths: list[str]) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(_UNNAMED, [paths])
        return [path for (path,) in cursor.fetchall()]
