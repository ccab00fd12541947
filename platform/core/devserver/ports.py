"""Loopback ports of one checkout: chosen at the first start and kept, so that two checkouts never meet on one."""

import contextlib
import json
import random
import socket
from collections.abc import Collection
from pathlib import Path

FILE = "ports.json"
HOST = "127.0.0.1"
RANGE = range(20_000, 32_000)   # below the ports that the kernel lends to outgoing connections


def is_free(port: int, *, host: str = HOST) -> bool:
    """Tell whether a server could listen there now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)   # as the servers do: old connections are no hindrance
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def answers(port: int) -> bool:
    """Tell whether somebody listens there."""
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=0.5):
        return True
    return False


def keep(data_dir: Path, name: str) -> int:
    """Return the port that is kept under a name, or a new one when there is none or somebody else took it."""
    kept = _read(data_dir)
    if name in kept and is_free(kept[name]):
        return kept[name]
    return note(data_dir, name, unused(without=kept.values()))


def note(data_dir: Path, name: str, port: int) -> int:
    """Keep a port under a name, for other terminals to find; the port."""
    path = data_dir / FILE
    part = path.with_suffix(".part")
    part.write_text(json.dumps({**_read(data_dir), name: port}, indent=1), encoding="utf-8")
    part.replace(path)
    return port


def noted(data_dir: Path, name: str) -> int | None:
    """Return the port that is kept under a name, whoever listens there now."""
    return _read(data_dir).get(name)


def _read(data_dir: Path) -> dict[str, int]:
    try:
        kept: dict[str, int] = json.loads((data_dir / FILE).read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return kept


def unused(*, without: Collection[int] = ()) -> int:
    """Return a port that is free now."""
    while True:
        port = random.choice(RANGE)  # noqa: S311  any will do
        if port not in without and is_free(port):
            return port
