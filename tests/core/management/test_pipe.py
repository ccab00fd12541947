"""A command whose answer nobody reads to its end, as in `manage.py audit_list | head`."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def test_whoever_has_read_enough_ends_a_command_without_a_word():
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as nobody:
        done = subprocess.run(
            [sys.executable, ROOT / "manage.py", "help"], cwd=ROOT, stdout=nobody, stderr=subprocess.PIPE, text=True, check=False, timeout=60,
        )

    assert (141, "") == (done.returncode, done.stderr)
