"""Settings of gunicorn, given to it as `python:core.devserver.webserver`."""

import signal

from gunicorn.arbiter import Arbiter
from gunicorn.workers.base import Worker

from core.devserver import child

worker_class = "core.webworker.ProblemWorker"
workers = 1
threads = 8
limit_request_line = 8190   # the most that gunicorn takes: a long address with wrong parameters is told which
timeout = 60
graceful_timeout = 3
keepalive = 30
loglevel = "warning"              # the application logs each request itself
control_socket_disable = True     # it would stand in the home folder, outside the checkout


def post_fork(server: Arbiter, worker: Worker) -> None:  # noqa: ARG001  gunicorn passes both
    """Let the forked worker die with its master: what the master asked of the kernel is not inherited."""
    child.die_with_parent(parent=server.pid, with_signal=signal.SIGKILL)
