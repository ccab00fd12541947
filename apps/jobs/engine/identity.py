"""Who this worker is: a new id for each start, never used again."""

import json
import os
import socket
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version

from apps.jobs import registry
from apps.jobs.transitions.presence import Start
from core.ids import uuid7


def start_facts(*, name: str, pool: str, slots: int, queues: Iterable[str], metrics_port: int | None) -> Start:
    """Return the facts of a start that happens now."""
    return Start(
        id=uuid7(), name=name, host=socket.gethostname(), pid=os.getpid(), pool=pool, slots=slots,
        queues=sorted(queues), types=json.dumps({each.name: each.payload_version for each in registry.all_types()}),
        code_version=_version(), metrics_port=metrics_port,
    )


def known_types() -> list[str]:
    """Return the types that this process can run, each with its payload version, as a fetch compares them."""
    return [f"{each.name}@{each.payload_version}" for each in registry.all_types()]


def _version() -> str:
    try:
        return version("latchwork")
    except PackageNotFoundError:   # a bare checkout
        return ""
