"""What `manage.py check` says before anything goes wrong. Each message names what is set and what to set instead.

The database is asked by `check --database default` and by `migrate` alone: no other command waits for it.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register  # noqa: A004  Django's name
from django.db import DatabaseError, NotSupportedError, connections

from apps.jobs import registry
from apps.jobs.transitions.connection import TRANSACTION_TIMEOUT_SINCE
from core.sealing import keys

OLDEST = 14
BROKERS = ("redis", "rediss", "sentinel", "amqp", "amqps")
POOLER_PORT = "6432"


@register(Tags.database)
def check_server(databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """Ask the default database whether it can carry the platform."""
    if not databases or "default" not in databases:
        return []
    connection = connections["default"]
    if connection.vendor != "postgresql":
        fix = "give DATABASE_URL an address that begins with postgresql://"
        return [Error(f"jobs live in PostgreSQL, and the database is {connection.vendor}", hint=fix, id="jobs.E001")]
    too_old = Error(
        f"the server is older than PostgreSQL {OLDEST}", hint=f"upgrade it to {OLDEST} or later, best to 18", id="jobs.E002",
    )
    try:
        connection.ensure_connection()
        version = connection.connection.info.server_version
    except NotSupportedError:
        return [too_old]
    except DatabaseError as exc:
        said = str(exc).strip().splitlines()[0]
        return [Error(f"the database does not answer: {said}", hint="check DATABASE_URL, or run `make up`", id="jobs.E003")]
    if version < OLDEST * 10_000:
        return [too_old]
    return [] if version >= TRANSACTION_TIMEOUT_SINCE else [Warning(
        "this server cannot end a transaction by its age: a worker that is frozen amid a commit keeps its rows until it goes on",
        hint="upgrade it to PostgreSQL 17 or later, best to 18", id="jobs.W003",
    )]


@register()
def check_connections(**_: Any) -> list[CheckMessage]:
    """Look at how the database is reached."""
    database = connections["default"].settings_dict
    found: list[CheckMessage] = []
    if str(database["PORT"]) == POOLER_PORT:
        found.append(Warning(
            f"port {POOLER_PORT} is PgBouncer's: LISTEN and prepared statements do not work through a transaction pooler",
            hint="point DATABASE_URL at PostgreSQL itself, or at a pooler in session mode, then silence jobs.W001",
            id="jobs.W001",
        ))
    if database["CONN_MAX_AGE"] == 0:
        found.append(Warning(
            "each request opens a connection to the database and closes it again",
            hint="set CONN_MAX_AGE to 60 or so; a worker keeps its own anyway", id="jobs.W002",
        ))
    return found


@register()
def check_broker(**_: Any) -> list[CheckMessage]:
    """Look at the broker's address and at how Celery would use it."""
    found: list[CheckMessage] = []
    url = settings.CELERY_BROKER_URL
    scheme = urlsplit(url).scheme
    if url and scheme not in BROKERS:
        known = ", ".join(f"{name}://" for name in BROKERS)
        found.append(Error(f"{scheme or 'no scheme'} is no broker that the platform rings through",
                           hint=f"give BROKER_URL an address that begins with one of {known}", id="jobs.E004"))
    if getattr(settings, "CELERY_TASK_ALWAYS_EAGER", False):
        found.append(Error("CELERY_TASK_ALWAYS_EAGER would run tickets in whoever rings",
                           hint="unset it; tests run jobs by apps.jobs.testing.drain", id="jobs.E005"))
    return found


@register()
def check_types(**_: Any) -> list[CheckMessage]:
    """Look at the registered types: at what their decorator could not see."""
    return [*_payloads_without_schema(), *_queues_alike(), *types_without_key()]


def types_without_key() -> Iterator[CheckMessage]:
    """Say that there is something to seal and nothing to seal it with."""
    sealing = [job_type.name for job_type in registry.all_types() if job_type.sensitive]
    if sealing and not settings.SEAL_KEYS:
        yield Error(
            f"SEAL_KEYS is not set, and {', '.join(sealing)} {'has' if len(sealing) == 1 else 'have'} fields to seal",
            hint=f"{keys.MAKE}, and give it to web, workers and beat as SEAL_KEYS, best through SEAL_KEYS_FILE",
            id="jobs.E007",
        )


def _payloads_without_schema() -> Iterable[CheckMessage]:
    for job_type in registry.all_types():
        try:
            job_type.schema()
        except Exception as exc:  # noqa: BLE001  pydantic and the model's own code may raise anything
            said = str(exc).splitlines()[0] if str(exc) else type(exc).__name__
            yield Error(
                f"the payload of {job_type.name} has no JSON Schema: {said}",
                hint=f"use types in {job_type.payload.__name__} that pydantic can describe; the API shows the schema",
                id="jobs.E006",
            )


def _queues_alike() -> Iterable[CheckMessage]:
    seen: dict[str, str] = {}
    for queue in sorted(registry.queues()):
        other = seen.setdefault(queue.casefold(), queue)
        if other != queue:
            yield Warning(
                f"the queues {other!r} and {queue!r} differ in case alone, and are two",
                hint="give the types of both one spelling", id="jobs.W003",
            )
