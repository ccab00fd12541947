"""What a database must have before the stack can use it: migrations, an administrator and a token of this checkout.

Two starts may meet here, so whoever prepares holds an advisory lock; whoever only looks needs none.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from psycopg import sql

from core.api import tokens
from core.api.models import ApiToken
from core.api.roles import Role
from core.devserver import secrets
from core.errors import PlatformError

LOCK = 0x1A7C_4001   # any number, the same for all of us
ADMIN = "admin"


class Unreachable(PlatformError):
    """The database that was given does not let us in."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"DATABASE_URL leads nowhere: {reason.strip()}")


def is_current(*, database_url: str, data_dir: Path) -> bool:
    """Tell, without Django's own connection, whether nothing is left to prepare: a start waits for this answer."""
    wanted = set(MigrationLoader(None, ignore_no_migrations=True).disk_migrations)
    token = tokens.FORM.fullmatch(secrets.known(data_dir, "token") or "")
    usable = sql.SQL(
        "SELECT 1 FROM {} WHERE prefix = %s AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())",
    ).format(sql.Identifier(ApiToken._meta.db_table))  # noqa: SLF001  Django's public name for it
    try:
        with psycopg.connect(database_url, connect_timeout=5) as database:
            if token is None or secrets.known(data_dir, "admin_password") is None:
                return False
            if not wanted <= set(database.execute("SELECT app, name FROM django_migrations").fetchall()):
                return False
            return database.execute(usable, [token[1]]).fetchone() is not None
    except psycopg.errors.UndefinedTable:
        return False
    except psycopg.OperationalError as exc:
        raise Unreachable(str(exc)) from exc


def prepare(*, data_dir: Path, say: Callable[[str], None]) -> None:
    """Migrate, then make the administrator and the token unless they are there."""
    with alone(say):
        before = applied()
        call_command("migrate", interactive=False, verbosity=0)
        say(f"applied {len(applied() - before)} migrations")
        _administrator(data_dir=data_dir, say=say)
        kept = secrets.known(data_dir, "token")
        if kept is None or tokens.find(kept) is None:
            secrets.keep(data_dir, "token", tokens.create(name="make up", role=Role.ADMIN).token)
            say("made an API token")


def applied() -> set[tuple[str, str]]:
    """Return the migrations that the database has."""
    return set(MigrationRecorder(connection).applied_migrations())


@contextmanager
def alone(say: Callable[[str], None]) -> Iterator[None]:
    """Hold the advisory lock on a connection of its own, which no migration closes."""
    holder = connection.copy()
    try:
        with holder.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(%s)", [LOCK])
            if not cursor.fetchone()[0]:
                say("another start prepares this database; waiting for it")
                cursor.execute("SELECT pg_advisory_lock(%s)", [LOCK])
            yield
    finally:
        holder.close()


def _administrator(*, data_dir: Path, say: Callable[[str], None]) -> None:
    users = get_user_model().objects
    if not users.filter(username=ADMIN).exists():
        users.create_superuser(ADMIN, password=secrets.secret(data_dir, "admin_password", size=12))
        say(f"made the log-in {ADMIN}")
    elif secrets.known(data_dir, "admin_password") is None:
        say(f"the log-in {ADMIN} exists already, with a password that is not kept here")
