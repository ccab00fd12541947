"""Secrets of one checkout: made at the first use, kept in its data folder, readable by its owner alone."""

import contextlib
import os
import secrets
from pathlib import Path


def secret(data_dir: Path, name: str) -> str:
    """Return the secret of that name, making it when there is none; two processes that race agree on one."""
    data_dir.mkdir(parents=True, exist_ok=True)
    path, part = data_dir / name, data_dir / f".{name}.{os.getpid()}"
    with os.fdopen(os.open(part, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "w", encoding="utf-8") as file:
        file.write(secrets.token_urlsafe(48))
    with contextlib.suppress(FileExistsError):   # somebody was faster
        os.link(part, path)                      # and never shows half a file
    part.unlink()
    return path.read_text(encoding="utf-8")


def secret_key(data_dir: Path) -> str:
    """Return Django's key of this checkout."""
    path = data_dir / "secret_key"
    return path.read_text(encoding="utf-8") if path.exists() else secret(data_dir, "secret_key")
