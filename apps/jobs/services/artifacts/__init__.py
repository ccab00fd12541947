"""Files that come in with requests and that jobs make: saved, read and removed here, and nowhere else.

Who knows what
    The row is the truth about a file: name, size, checksum, content type, end. The storage (a folder, or S3 by
    ARTIFACTS_URL) keeps bytes under a path that nobody can guess, and is asked for nothing else.

How a file gets its row
    1. Its path is written down as loose and committed, before a byte is stored.
    2. The bytes are streamed into the storage; on the way they are counted, hashed and looked at.
    3. One transaction takes the path from the loose ones and makes the row. For an attempt it holds the job's row under
       the attempt's fence, so that a stale attempt makes none.
    Whatever ends it before that commit leaves a loose path, and pruning deletes the file: there is no moment in which
    a crash loses sight of one. A name that a job has used before keeps its id and gets the new file; the old one becomes
    loose in the same commit. A commit whose reply was lost is left to pruning as well, which sees what became of it.

How a file ends
    Pruning makes the files of expired rows loose and deletes the rows, then deletes loose files, and forgets a path when
    its file is gone. Any number may prune at once: each passes over what another holds. Files of our form that neither
    a row nor a loose path names (after a restore of the database, perhaps) are deleted when they are a day old.
"""

from apps.jobs.services.artifacts.pruning import PrunedArtifacts, prunable, prune
from apps.jobs.services.artifacts.reading import Opened, get, open, opened  # noqa: A004  artifacts.open() reads well
from apps.jobs.services.artifacts.saving import Content, save, save_in_attempt

__all__ = [
    "Content",
    "Opened",
    "PrunedArtifacts",
    "get",
    "open",
    "opened",
    "prunable",
    "prune",
    "save",
    "save_in_attempt",
]
