"""What a node is started with: a Java, the jars that Maven fetches once for each user, and an archive of their classes."""

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from core.errors import PlatformError

POM = Path(__file__).with_name("pom.xml")
JAVA = 17   # Cassandra 5.0 is released for 11 and 17, and later ones have lost the security manager that it asks for
JDKS = Path("/usr/lib/jvm")
INSTALL = "Debian: apt install openjdk-17-jdk-headless maven"


class Missing(PlatformError):
    """A program that a node needs is not on this machine."""

    def __init__(self, what: str) -> None:
        super().__init__(f"Cassandra needs {what} ({INSTALL})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Programs:
    """The Java and the class path of one version."""

    java: Path
    jars: tuple[Path, ...]
    folder: Path   # of this user's cache, for this pom

    @property
    def agent(self) -> Path:
        """Return the agent that measures objects."""
        return next(jar for jar in self.jars if jar.name.startswith("jamm-"))

    @property
    def archive(self) -> Path:
        """Return where the classes are archived; the archive fits one Java and one class path only."""
        release = (self.java.parents[1] / "release")
        build = release.read_bytes() if release.exists() else str(self.java).encode()
        return self.folder / f"classes-{_short(build)}.jsa"


def programs(*, say: Callable[[str], None] = lambda _: None) -> Programs:
    """Return what nodes are started with, fetched now unless it was before; raise `Missing` where that cannot be."""
    java = find_java()
    folder = cache() / f"cassandra-{_short(POM.read_bytes())}"
    if not (folder / "lib").exists():
        _fetch(folder, java=java, say=say)
    return Programs(java=java, jars=tuple(sorted((folder / "lib").glob("*.jar"))), folder=folder)


def cache() -> Path:
    """Return the folder of this user in which all checkouts find what one has fetched."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "latchwork"


def find_java() -> Path:
    """Return a Java of the version that Cassandra runs on: JAVA_HOME's, the PATH's or one of the system's."""
    home, found = os.environ.get("JAVA_HOME"), shutil.which("java")
    named = [Path(home) / "bin" / "java"] if home else []
    on_path = [Path(found).resolve()] if found else []
    for java in [*named, *on_path, *sorted(JDKS.glob("*/bin/java"))]:
        if version(java) == JAVA:
            return java
    raise Missing(f"Java {JAVA}, in JAVA_HOME, on the PATH or below {JDKS}")


def version(java: Path) -> int | None:
    """Return the main version of a Java, None when there is none."""
    try:
        said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr  # noqa: S603  a java
    except OSError:
        return None
    found = re.search(r'version "(\d+)', said)
    return int(found[1]) if found else None


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold a folder of the cache against other processes that would fill it too."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fetch(folder: Path, *, java: Path, say: Callable[[str], None]) -> None:
    """Have Maven copy the jars beside their place, and move them there whole."""
    maven = shutil.which("mvn")
    if maven is None:
        raise Missing("Maven, to fetch its jars once")
    with alone(folder):
        if (folder / "lib").exists():   # while we waited
            return
        say("fetching the jars of Cassandra (67 MiB, once)")
        part = Path(tempfile.mkdtemp(prefix="part-", dir=folder))
        command = [
            maven, "-B", "-q", "-f", str(POM), "dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={part}",
        ]
        environment = {**os.environ, "JAVA_HOME": str(java.parents[1])}
        ran = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)  # noqa: S603  a constant
        if ran.returncode or not list(part.glob("cassandra-all-*.jar")):
            shutil.rmtree(part, ignore_errors=True)
            raise Missing(f"its jars, and Maven could not fetch them: {(ran.stdout + ran.stderr).strip()[-800:]}")
        part.rename(folder / "lib")


def _short(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]
