"""Tasks of an application that are no jobs: Celery's own, beside them in the same worker."""

import os
import time
from pathlib import Path

from celery import shared_task


@shared_task(name="ordinary.touch")
def touch(path: str) -> None:
    """Leave a note of the process that ran this."""
    Path(path).write_text(str(os.getpid()))


@shared_task(name="ordinary.wait")
def wait(began: str, go: str) -> None:
    """Hold a slot until the test lets go."""
    Path(began).touch()
    over = time.monotonic() + 60
    while not Path(go).exists() and time.monotonic() < over:
        time.sleep(0.01)
