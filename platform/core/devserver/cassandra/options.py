"""The command line of Java: what Cassandra asks of it, and what makes a small node start in five seconds instead of fifteen."""

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from core.devserver.cassandra.programs import Programs

MAIN = "org.apache.cassandra.service.CassandraDaemon"
HEAP_MIB = 384
# From Cassandra's own conf/jvm17-server.options.
EXPORTS = (
    "java.base/jdk.internal.misc", "java.management.rmi/com.sun.jmx.remote.internal.rmi", "java.rmi/sun.rmi.registry",
    "java.rmi/sun.rmi.server", "java.sql/java.sql", "java.base/java.lang.ref", "jdk.unsupported/sun.misc",
    "jdk.compiler/com.sun.tools.javac.file", "jdk.attach/sun.tools.attach",
)
OPENS = (
    "java.base/java.lang.module", "java.base/jdk.internal.loader", "java.base/jdk.internal.ref", "java.base/jdk.internal.reflect",
    "java.base/jdk.internal.math", "java.base/jdk.internal.module", "java.base/jdk.internal.util.jar",
    "jdk.management/com.sun.management.internal", "java.base/sun.nio.ch", "java.base/java.io", "java.base/java.lang.reflect",
    "jdk.compiler/com.sun.tools.javac", "java.base/java.lang", "java.base/java.util", "java.base/java.nio",
)
MACHINE = (
    "-Djdk.attach.allowAttachSelf=true", "-Dio.netty.tryReflectionSetAccessible=true",
    "-Dio.netty.allocator.useCacheForAllThreads=true", "-Dio.netty.allocator.maxOrder=11", "-Djava.net.preferIPv4Stack=true",
    f"-Xms{HEAP_MIB}m", f"-Xmx{HEAP_MIB}m", "-Xss256k", "-XX:+UseSerialGC", "-XX:MaxDirectMemorySize=256m",
    "-XX:TieredStopAtLevel=1",            # the quick compiler alone: halves the processor time of a start
    "-XX:+PerfDisableSharedMem", "-XX:ActiveProcessorCount=2", "-XX:+ExitOnOutOfMemoryError",
    "-XX:+UnlockDiagnosticVMOptions", "-XX:+AllowArchivingWithJavaAgent",   # jamm is one, and the archive refuses without
)
# `test.flush_local_schema_changes=false` would save a second more, and after kill -9 the keyspace and its data are gone.
CASSANDRA = (
    "-Dcassandra-foreground=yes", "-Dcassandra.available_processors=2",
    "-Dcassandra.ring_delay_ms=100", "-Dcassandra.skip_wait_for_gossip_to_settle=0", "-Dcassandra.superuser_setup_delay_ms=-1",
    "-Dcassandra.consistent.rangemovement=false",
    "-Dcassandra.schema_pull_interval_ms=1000",       # a node that missed a CREATE while its peers counted as dead gets it soon
    "-Dcassandra.memtable.row_overhead_size=180",     # what its measuring of 3 s comes to
    "-Dcassandra.test.ignore_sigar=true",
)


def command(
    *, programs: Programs, folder: Path, logback: Path, extra_jars: Sequence[Path], properties: Mapping[str, str], archiving: Path | None,
) -> list[str | Path]:
    """Return the whole command; `archiving` has it write an archive of its classes when it ends, instead of reading one."""
    archive = f"-XX:ArchiveClassesAtExit={archiving}" if archiving else f"-XX:SharedArchiveFile={programs.archive}"
    return [
        *_without_locked_memory(), programs.java, f"-javaagent:{programs.agent}",
        *(f"--add-exports={each}=ALL-UNNAMED" for each in EXPORTS), *(f"--add-opens={each}=ALL-UNNAMED" for each in OPENS),
        *MACHINE, archive, "-Xshare:auto",   # an archive that does not fit is left aside
        f"-Dcassandra.config={(folder / 'cassandra.yaml').as_uri()}", f"-Dcassandra.storagedir={folder}",
        f"-Dcassandra.logdir={folder}", f"-Dlogback.configurationFile={logback}", *CASSANDRA,
        *(f"-D{name}={value}" for name, value in properties.items()),
        "-cp", ":".join(map(str, [*programs.jars, *extra_jars])), MAIN,   # others last: the archive wants its own path first
    ]


def _without_locked_memory() -> Iterator[str]:
    """As root, Cassandra locks its heap into memory: 370 MiB and 2 s more for a node that nobody would swap out."""
    if os.geteuid() == 0 and shutil.which("setpriv") and shutil.which("prlimit"):
        yield from ("setpriv", "--bounding-set=-ipc_lock", "--", "prlimit", "--memlock=65536")
