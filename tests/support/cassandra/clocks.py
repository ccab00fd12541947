"""Clocks of nodes that a test sets: Cassandra reads its wall clock through a class that a property names."""

import hashlib
import subprocess
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from core.devserver.cassandra.node import Tuning
from core.devserver.cassandra.programs import Missing, Programs, alone

SOURCE = Path(__file__).with_name("FileOffsetClock.java")


@dataclass(frozen=True, slots=True)
class NodeClock:
    """The file in which the offset of one node's clock stands."""

    file: Path

    def set(self, seconds: float) -> None:
        """Shift this node's wall clock against everybody's; it is seen within 100 ms."""
        part = self.file.with_suffix(".part")
        part.write_text(str(round(seconds * 1000)))
        part.replace(self.file)


def tuned(tuning: Tuning, clock: NodeClock, *, jar: Path) -> Tuning:
    """Have a node read its wall clock from this file. Other nodes then may not judge messages by it (`internode_timeout`)."""
    properties = {**tuning.properties, "cassandra.clock": SOURCE.stem, "latchwork.clock.file": str(clock.file)}
    return replace(tuning, extra_jars=[*tuning.extra_jars, jar], properties=properties)


def jar(programs: Programs) -> Path:
    """Return the compiled class, made once for each user."""
    made = programs.folder / f"clock-{hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:12]}.jar"
    if made.exists():
        return made
    home = programs.java.parent
    if not (home / "javac").exists():
        raise Missing("a whole JDK, to compile the clock that tests set")
    against = next(path for path in programs.jars if path.name.startswith("cassandra-all-"))
    with alone(programs.folder), tempfile.TemporaryDirectory(dir=programs.folder) as folder:
        part = Path(folder) / "clock.jar"
        subprocess.run([home / "javac", "-cp", against, "-d", folder, SOURCE], check=True, capture_output=True)
        subprocess.run([home / "jar", "cf", part, "-C", folder, f"{SOURCE.stem}.class"], check=True, capture_output=True)
        part.replace(made)
    return made
