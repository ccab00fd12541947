"""The data folder of one checkout, and what is said when it cannot be used."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from core.errors import Misconfigured


@contextlib.contextmanager
def used(data_dir: Path) -> Iterator[None]:
    """Turn what the system says about the folder, or about a file in it, into one sentence that names the setting."""
    try:
        yield
    except OSError as exc:
        why = exc.strerror or type(exc).__name__
        fix = "give a folder that this user may make and write, or unset it"
        raise Misconfigured([f"DATA_DIR={data_dir} cannot be used ({why}): {fix}"]) from exc


def make(data_dir: Path) -> None:
    """Make the folder, readable by its owner alone, unless it is there."""
    with used(data_dir):
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
