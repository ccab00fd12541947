"""The archive of classes: it takes a start from eight seconds to five, and is made by running a node once."""

import contextlib
import tempfile
from collections.abc import Callable
from pathlib import Path

from core.devserver.cassandra.node import Cassandra, Tuning
from core.devserver.cassandra.programs import Programs, alone

SECONDS = 60   # of writing it, at the node's end


def archive(programs: Programs, *, say: Callable[[str], None] = lambda _: None) -> None:
    """Make the archive of these programs unless there is one. Call it from the main thread."""
    if programs.archive.exists():
        return
    with alone(programs.folder):
        if programs.archive.exists():   # while we waited
            return
        say("archiving the classes of Cassandra (20 s, once)")
        with tempfile.TemporaryDirectory(prefix="archiving-", dir=programs.folder) as folder:
            part = Path(folder) / "classes.jsa"   # a node that is killed while it writes leaves half of one
            node = Cassandra(data_dir=Path(folder), programs=programs, tuning=Tuning(archiving=part))
            with contextlib.ExitStack() as stack:
                stack.callback(node.kill)
                node.start()
                node.stop(seconds=SECONDS)
            part.rename(programs.archive)
