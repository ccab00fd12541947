"""The composition root: the one package that knows all others."""

import sys

from config import command_line

command_line.let_go(sys.argv[1:])

from config.celery import app as celery_app  # noqa: E402  what comes from now on takes the place of what has gone

__all__ = ["celery_app"]
