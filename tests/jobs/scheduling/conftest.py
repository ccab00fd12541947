"""A dispatcher whose own clock the test moves, and the line of tickets in the real broker."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import redis
from django.conf import settings

from apps.jobs import publishing
from apps.jobs.scheduling.dispatcher import Config, Dispatcher
from tests.support.factories import own_connection

NO_LEASE = 0.0   # half of it is how long a new dispatcher holds rescues back


class Clock:
    """A monotonic clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Watched:
    """A dispatcher at whose each look all duties are due, as if a second had passed."""

    def __init__(self, **changes: Any) -> None:
        self.clock = Clock()
        plain = {"by": "beat:test:1", "lease_seconds": NO_LEASE, "chores_seconds": 1e9}
        self.dispatcher = Dispatcher(Config(**{**plain, **changes}), clock=self.clock)
        self.dispatcher._next["chores"] = 1e9

    def look(self) -> float:
        self.clock.now += 1.0
        return self.dispatcher.run_once()


@pytest.fixture
def dispatcher() -> Iterator[Watched]:
    watched = Watched()
    yield watched
    watched.dispatcher.close()


@pytest.fixture
def make_dispatcher() -> Iterator[Any]:
    made: list[Watched] = []

    def make(**changes: Any) -> Watched:
        made.append(Watched(**changes))
        return made[-1]

    yield make
    for each in made:
        each.dispatcher.close()


@pytest.fixture
def tickets() -> Iterator[Any]:
    """Ask how many tickets stand in a queue's line, once all that was rung for is there."""
    with redis.Redis.from_url(settings.CELERY_BROKER_URL) as broker:
        publishing.flush(10)
        broker.flushdb()

        def count(queue: str) -> int:
            assert publishing.flush(10)
            return int(broker.llen(queue))

        yield count


@pytest.fixture
def held_by_an_edit():
    """Return a context manager in which somebody else's transaction holds a job's row."""

    @contextmanager
    def hold(job_id: object) -> Iterator[None]:
        with own_connection("edit") as connection, connection.transaction():
            connection.execute("SELECT FROM job WHERE id = %s FOR NO KEY UPDATE", [job_id])
            yield

    return hold


@contextmanager
def running(run: Any) -> Iterator[threading.Thread]:
    """Run a loop in a thread of its own, and stop it afterwards."""
    stop = threading.Event()
    thread = threading.Thread(target=run, args=(stop.is_set,), daemon=True)
    thread.start()
    try:
        yield thread
    finally:
        stop.set()
        thread.join(20)
        assert not thread.is_alive(), "the loop did not stop"
