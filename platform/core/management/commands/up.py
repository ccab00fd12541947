import os
import shutil
import sys
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from core import clock
from core.devserver import ports, provision, stack
from core.devserver.banner import banner
from core.devserver.cassandra import programs as cassandra
from core.devserver.cassandra.archive import archive
from core.devserver.cassandra.programs import Programs
from core.devserver.console import Console
from core.devserver.runner import OURS, GaveUp, Runner, StopRequested
from core.devserver.stores import Given, Stores, held
from core.errors import PlatformError

READY_SECONDS = 80
LOCKS = ("postgresql", "cassandra")
DEFAULTS = {                          # for what is started here, unless the environment says otherwise
    "LOG_FORMAT": "console",
    "JOBS_STOP_GRACE_SECONDS": "7",   # everything is to end within 15 s
    "JOBS_METRICS_PORT": "9540",      # the first one that is free from there on
}


def names(text: str) -> tuple[str, ...]:
    """Read `web,worker`."""
    chosen = tuple(filter(None, (word.strip() for word in text.split(","))))
    if unknown := [name for name in chosen if name not in stack.NAMES]:
        raise ArgumentTypeError(f"{', '.join(unknown)} is not known: choose from {', '.join(stack.NAMES)}")
    return chosen


class Command(BaseCommand):
    help = (
        "Run everything on this machine: the stores that no address is given for, web, worker, beat and Flower. "
        "Named locks stand in the database, at LOCKS_URL, or with --locks cassandra in a node that is started too."
    )
    requires_system_checks = ()       # the database is not there yet

    def add_arguments(self, parser: ArgumentParser) -> None:
        everything = ",".join(stack.NAMES)
        parser.add_argument("--only", type=names, default=stack.NAMES, help=f"some of {everything}; default: all")
        parser.add_argument("--workers", type=int, default=1, help="how many workers; default: 1")
        parser.add_argument("--port", type=int, help="of the web application; default: PORT, else the next free from 8000")
        parser.add_argument("--locks", choices=LOCKS, default=LOCKS[0], help="where named locks stand; cassandra needs Java 17 and Maven")
        parser.add_argument("--no-smoke", action="store_true", help="do not run real jobs once everything is ready")

    def handle(
        self, *, only: tuple[str, ...], workers: int, port: int | None, no_smoke: bool, locks: str = LOCKS[0], **_: Any,
    ) -> None:
        if not 1 <= workers <= 64:
            raise CommandError("--workers must be between 1 and 64")
        env, started = settings.ENV, clock.elapsed()
        console, data_dir = Console(sys.stdout), env.DATA_DIR.resolve()
        tell_programs(data_dir)
        given = Given(
            database_url=env.DATABASE_URL, broker_url=env.BROKER_URL, cache_url=env.CACHE_URL, locks_url=env.LOCKS_URL,
        )
        try:
            node = node_of_locks(locks, given=given, say=lambda text: console.line(OURS, text))
            stores = Stores(data_dir=data_dir, given=given, cassandra=node)
            with held(data_dir), Runner(console=console, stores=stores, cwd=settings.ROOT) as runner:
                keep_temporary_files(data_dir)
                own_port = ports.note(data_dir, "web", web_port(port, say=runner.say)) if "web" in only else env.PORT
                addresses = stores.start(meanwhile=lambda: runner.idle(seconds=0.05))
                for server in stores.servers:
                    runner.say(f"{server.title} is ready on {ports.HOST}:{server.port}")
                programs = stack.Stack(
                    root=settings.ROOT, data_dir=data_dir, addresses=addresses, workers=workers,
                    port=own_port, flower_port=ports.keep(data_dir, "flower"),
                    mail_port=None if env.EMAIL_URL else ports.keep(data_dir, "mail"),
                )
                if node is not None:
                    make_lock_tables(runner, programs)
                start(runner, programs, only=only)
                console.block(banner(programs, names=only, console=console, seconds=clock.elapsed() - started))
                if {"web", "worker"} <= set(only) and not no_smoke:
                    runner.complete(programs.smoke(with_mail="mail" in only))
                runner.run()
        except StopRequested:
            console.block("")
        except (PlatformError, PermissionError) as exc:   # the folder may be another user's
            raise CommandError(str(exc)) from exc


def tell_programs(data_dir: Path) -> None:
    """Set what holds for everything that is started here, unless the operator has set it otherwise."""
    for name, value in DEFAULTS.items():
        if name not in settings.ENV.model_fields_set:
            os.environ[name] = value
    os.environ["DATA_DIR"] = str(data_dir)   # the programs work in the checkout, not where we were called
    os.environ.pop("DATA_DIR_FILE", None)


def node_of_locks(wanted: str, *, given: Given, say: Callable[[str], None]) -> Programs | None:
    """Return what a node for the locks is started with, if one is wanted: what it needs is fetched now, once."""
    if wanted != "cassandra":
        return None
    if given.locks_url:
        raise GaveUp("LOCKS_URL names a store already: unset it, or leave out --locks")
    found = cassandra.programs(say=say)
    archive(found, say=say)
    return found


def make_lock_tables(runner: Runner, programs: stack.Stack) -> None:
    """Have the tables of the locks made where they are missing."""
    if status := runner.complete(programs.lock_tables()):
        raise GaveUp(f"the tables of the locks could not be made (status {status}): see the lines above")


def keep_temporary_files(data_dir: Path) -> None:
    """Let what is started here keep its temporary files in the data folder; what was killed has left some behind."""
    folder = data_dir / "tmp"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(exist_ok=True)
    os.environ["TMPDIR"] = str(folder)


def start(runner: Runner, programs: stack.Stack, *, only: tuple[str, ...]) -> None:
    """Prepare the database unless that was done before, start the programs and wait until they are ready."""
    prepared = provision.is_current(database_url=programs.addresses.database_url, data_dir=programs.data_dir)
    if not prepared and (status := runner.complete(programs.provision())):
        raise GaveUp(f"the database could not be prepared (status {status}): see the lines above")
    runner.start(programs.programs(only))
    runner.wait_ready(seconds=READY_SECONDS)


def web_port(wanted: int | None, *, say: Callable[[str], None]) -> int:
    """Return the port of the web application: the one that was asked for, or the next free one from the default."""
    default: int = settings.ENV.PORT
    chosen = wanted or (default if "PORT" in settings.ENV.model_fields_set else None)
    if chosen:
        if not ports.is_free(chosen):
            raise GaveUp(f"port {chosen} is taken: set PORT to another one, or unset it to get the next free one")
        return chosen
    free = next(port for port in range(default, default + 1000) if ports.is_free(port))
    if free != default:
        say(f"port {default} is taken, so the web application is on {free}")
    return free
