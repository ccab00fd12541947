"""Flower as `make up` starts it: its metrics stand behind the log-in too.

Flower itself answers `/metrics` to everybody, and what it answers names workers and tasks. `/healthcheck` stays open: it
says OK and nothing else. Give it the command line of `celery`.
"""

import sys

from celery.bin.celery import main
from flower.views.monitor import Metrics
from tornado.web import authenticated


def close() -> None:
    """Let Flower's metrics answer only who has logged in."""
    Metrics.get = authenticated(Metrics.get)


if __name__ == "__main__":
    close()
    sys.exit(main())
