#!/usr/bin/env python
"""Run a management command; `manage.py help` lists them."""

import os
import signal
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent

if __name__ == "__main__":
    sys.path[:0] = [str(ROOT), str(ROOT / "platform")]   # a bare checkout works without being installed
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.local")
    from django.core.management import execute_from_command_line
    from django.db import OperationalError

    from core import database
    from core.errors import Misconfigured

    try:
        execute_from_command_line(sys.argv)
        sys.stdout.flush()
    except BrokenPipeError:   # whoever reads has seen enough, as `head` has
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())   # where the rest goes at the end
        sys.exit(128 + signal.SIGPIPE)
    except Misconfigured as exc:   # its sentence says what to do; where it was raised says nothing
        sys.exit(str(exc))
    except OperationalError as exc:
        if sentence := database.away(exc):
            sys.exit(f"Refused: {sentence}")
        raise
