"""The broker as the outside sees it, and brokers that are not what they should be."""

import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis
from celery import Celery

from apps.jobs.publishing import publisher
from apps.jobs.publishing.publisher import Publisher


@contextmanager
def looking() -> Iterator[redis.Redis]:
    """Open a connection of our own to the session's broker, emptied."""
    with redis.Redis.from_url(os.environ["BROKER_URL"]) as client:
        client.flushdb()
        yield client


def tickets(client: redis.Redis, queue: str) -> list[dict[str, Any]]:
    """Return what stands in a queue's line, oldest first."""
    return [json.loads(text) for text in reversed(client.lrange(queue, 0, -1))]


@contextmanager
def publishing_to(url: str) -> Iterator[Publisher]:
    """Let this process ring at another broker for a while."""
    app = Celery("elsewhere", broker=url, set_as_current=False)
    app.conf.broker_transport_options = {"socket_timeout": 10, "socket_connect_timeout": 3}
    before, publisher._publisher = publisher._publisher, Publisher(app)
    try:
        yield publisher._publisher
    finally:
        publisher._publisher = before


@contextmanager
def silent() -> Iterator[str]:
    """Listen as a broker that accepts every connection and never says a word; yield its address."""
    accepted: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:

        def accept() -> None:
            while True:
                try:
                    accepted.append(listener.accept()[0])
                except OSError:   # closed: the test is over
                    return

        thread = threading.Thread(target=accept, name="silent broker", daemon=True)
        thread.start()
        yield f"redis://127.0.0.1:{listener.getsockname()[1]}/0"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
    for each in accepted:
        each.close()


@contextmanager
def refused() -> Iterator[str]:
    """Yield an address at which nobody listens, and which nobody else gets meanwhile."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"redis://127.0.0.1:{taken.getsockname()[1]}/0"
