"""A program that holds a lock, writes under it, and writes once more when it is told to: `python -m tests.support.frozen_holder`.

Its test stops it in between for longer than its lease. What it is told then it writes into a folder.
"""

import json
import sys
import time
from datetime import timedelta
from pathlib import Path

import django

from locks import Lease, LockLost, Locks, open_store

LEASE = timedelta(seconds=6)
LONGEST = 120.0


def main(url: str, name: str, place: str) -> None:
    django.setup()
    from tests.support.three import Three  # it has a model

    folder = Path(place)
    locks = Locks(open_store(url), owner="the frozen one")

    def lost(_lease: Lease, why: str) -> None:
        _say(folder / "lost", why)

    lease = locks.acquire(name, lease=LEASE, timeout=timedelta(seconds=30), on_lost=lost)
    three = Three(name, cassandra=url)
    began = time.monotonic()
    _say(folder / "ready", json.dumps({"token": lease.token, "said": three.write("first", token=lease.token)}))
    while not (folder / "go").exists() and time.monotonic() - began < LONGEST:
        time.sleep(0.01)
    said = three.write("late", token=lease.token)
    try:
        lease.check()
        checked = "held"
    except LockLost:
        checked = "lost"
    _say(folder / "end", json.dumps({"said": said, "checked": checked, "released": lease.release().value}))
    locks.close()


def _say(file: Path, text: str) -> None:
    part = file.with_suffix(".part")
    part.write_text(text)
    part.rename(file)


if __name__ == "__main__":
    main(*sys.argv[1:])
