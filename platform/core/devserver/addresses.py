"""Where the embedded services listen, written by whoever starts them and read by every other process of the checkout."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from core.devserver import folder

FILE = "services.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """Complete addresses with their passwords; the file is readable by its owner alone."""

    database_url: str
    broker_url: str
    cache_url: str
    locks_url: str = ""   # none: the locks stand in the database


def read(data_dir: Path) -> Addresses | None:
    """Return what stands in `data_dir`, or None when no embedded service was ever started there."""
    with folder.used(data_dir):
        try:
            return Addresses(**json.loads((data_dir / FILE).read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None


def write(data_dir: Path, addresses: Addresses) -> None:
    """Replace the file in one step, so that no reader ever sees half of it."""
    part = data_dir / f"{FILE}.part"
    part.touch(mode=0o600, exist_ok=True)
    part.write_text(json.dumps(asdict(addresses), indent=1), encoding="utf-8")
    part.replace(data_dir / FILE)
