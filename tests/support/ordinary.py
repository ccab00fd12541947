"""Tasks of an application that are no jobs: Celery's own, beside them in the same worker."""

import os
from pathlib import Path

from celery import shared_task


@shared_task(name="ordinary.touch")
def touch(path: str) -> None:
    """Leave a note of the process that ran this."""
    Path(path).write_text(str(os.getpid()))
