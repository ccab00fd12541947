"""Servers, database and environment of one run: made in a folder of their own and gone with it."""

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench import stamps
from bench.stamps import Stamps
from core.devserver.addresses import Addresses
from core.devserver.postgres import Postgres
from core.devserver.server import Server
from core.devserver.valkey import Valkey

ROOT = Path(__file__).resolve().parents[1]
MEMORY = Path("/dev/shm")
STATEMENTS = {"shared_preload_libraries": "pg_stat_statements", "track_io_timing": "on"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What every measurement needs to reach."""

    folder: Path
    postgres: Postgres
    valkey: Valkey
    stamps: Stamps

    @property
    def servers(self) -> tuple[Server, ...]:
        return self.postgres, self.valkey

    @property
    def addresses(self) -> Addresses:
        return Addresses(database_url=self.postgres.url(), broker_url=self.valkey.url(0), cache_url=self.valkey.url(1))


@contextlib.contextmanager
def built(*, statements: bool, settings: Mapping[str, str]) -> Iterator[Stage]:
    """Start everything and set Django up in this process, which is the producer of both systems."""
    cache = ROOT / ".cache"
    cache.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=cache))
    postgres = Postgres(data_dir=folder, settings={**(STATEMENTS if statements else {}), **settings})
    valkey = Valkey(data_dir=folder)
    file = (MEMORY if MEMORY.is_dir() else folder) / f"{folder.name}.stamps"
    file.touch()
    stage = Stage(folder=folder, postgres=postgres, valkey=valkey, stamps=Stamps(file))
    try:
        for server in stage.servers:
            server.launch()
        for server in stage.servers:
            server.wait_ready()
        with valkey.client() as client:   # Celery's messages would be written to disk; our tickets are not worth it
            client.config_set("appendonly", "no")
        _enter(stage)
        if statements:
            with postgres.connect() as connection:
                connection.execute("CREATE EXTENSION pg_stat_statements")
        yield stage
    finally:
        for server in stage.servers:
            server.kill()   # nobody reads these data again
        file.unlink()
        shutil.rmtree(folder, ignore_errors=True)


def _enter(stage: Stage) -> None:
    """Tell the settings where everything is, here and in all that is started from here."""
    for name in list(os.environ):
        if name.startswith("JOBS_") or name.endswith("_FILE"):
            del os.environ[name]   # a developer's own settings are not what is measured
    addresses = stage.addresses
    os.environ.update({
        "DJANGO_SETTINGS_MODULE": "config.settings.local",
        "DATABASE_URL": addresses.database_url,
        "BROKER_URL": addresses.broker_url,
        "CACHE_URL": addresses.cache_url,
        "DATA_DIR": str(stage.folder),
        "JOB_MODULES": "bench.handler",
        "LOG_LEVEL": "WARNING",         # as the workers of both systems
        "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "platform"))),
        "PYTHONWARNINGS": "ignore:You're running the worker with superuser privileges",
        stamps.VARIABLE: str(stage.stamps.path),
    })
    sys.path[:0] = [str(ROOT / "platform")]
    import django  # noqa: PLC0415
    from django.core.management import call_command  # noqa: PLC0415

    import config  # noqa: F401, PLC0415  makes its Celery application the current one, as in a web process

    django.setup()
    call_command("migrate", interactive=False, verbosity=0)
