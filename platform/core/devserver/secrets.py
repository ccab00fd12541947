"""Secrets of one checkout: made at the first use, kept in its data folder, readable by its owner alone."""

import contextlib
import os
import secrets
from pathlib import Path

from core.devserver import folder
from core.errors import Misconfigured
from core.sealing import keys


def secret(data_dir: Path, name: str, *, size: int = 48) -> str:
    """Return the secret of that name, making it when there is none; two processes that race agree on one."""
    folder.make(data_dir)
    with folder.used(data_dir):
        return _kept(data_dir, name, size=size)


def _kept(data_dir: Path, name: str, *, size: int) -> str:
    path, part = data_dir / name, data_dir / f".{name}.{os.getpid()}"
    with os.fdopen(os.open(part, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "w", encoding="utf-8") as file:
        file.write(secrets.token_urlsafe(size))
    with contextlib.suppress(FileExistsError):   # somebody was faster
        os.link(part, path)                      # and never shows half a file
    part.unlink()
    return path.read_text(encoding="utf-8")


def secret_key(data_dir: Path) -> str:
    """Return Django's key of this checkout."""
    return known(data_dir, "secret_key") or secret(data_dir, "secret_key")


def seal_keys(data_dir: Path) -> list[str]:
    """Return the keys that seal fields of payloads in this checkout; to rotate, put another and a comma before them."""
    found = known(data_dir, "seal_keys") or secret(data_dir, "seal_keys", size=keys.BYTES)
    words = [word.strip() for word in found.split(",") if word.strip()]
    try:
        keys.check(words)
    except ValueError as exc:
        raise Misconfigured([f"{data_dir / 'seal_keys'} {exc}"]) from exc
    return words


def known(data_dir: Path, name: str) -> str | None:
    """Return the secret of that name if there is one."""
    path = data_dir / name
    with folder.used(data_dir):
        return path.read_text(encoding="utf-8").strip() if path.exists() else None


def keep(data_dir: Path, name: str, value: str) -> None:
    """Keep a secret that was made elsewhere, in place of the one before."""
    part = data_dir / f".{name}.{os.getpid()}"
    with os.fdopen(os.open(part, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "w", encoding="utf-8") as file:
        file.write(value)
    part.replace(data_dir / name)
