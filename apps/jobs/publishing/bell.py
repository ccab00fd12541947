"""One process's way to the broker for ringing: a connection of its own whose every wait is bounded.

By far most rings are for one job, and on Redis or Valkey each is the same command but for an id. It is packed once per queue and
sent as it is, on one of the transport's connections that is kept for it: a worker that idles hears it a third of a
millisecond sooner than through a client's command, which takes a connection from its pool and packs and measures each time.
"""

from contextlib import suppress
from typing import Any

import redis
from celery import Celery
from kombu import Connection
from kombu.exceptions import KombuError

from apps.jobs.publishing import ticket

SOCKET_SECONDS = 2.0
MOST_COMMANDS = 1000


class Bell:
    """Puts tickets into queues' lines. One thread's; whatever it raises, `close` it, and it connects anew."""

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._broker: Connection | None = None
        self._wire: Any = None   # redis-py's, of the broker connection's pool
        self._commands: dict[tuple[str, int], bytes] = {}

    def put(self, queue: str, *, count: int, most: int) -> int:
        """Put up to `count` tickets in a queue's line, so that `most` stand there; return the number that went in."""
        if self._broker is None:
            self._broker = connection(self._app)
        if count == 1 and self._wire is not None:
            # A server that forgot the script, or has closed what idled, is asked again with all that a client does for it.
            with suppress(redis.ResponseError, redis.ConnectionError):
                return self._put_one(self._broker, queue, most)
        put = ticket.put(self._app, self._broker, queue, count=count, most=most)
        if self._wire is None and (pool := ticket.pool(self._broker)) is not None and pool.max_connections > 1:
            self._wire = pool.get_connection()   # the commands of clients take another
        return put

    def _put_one(self, broker: Connection, queue: str, most: int) -> int:
        command = self._commands.get((queue, most))
        if command is None:
            if len(self._commands) >= MOST_COMMANDS:
                self._commands.clear()
            command = b"".join(self._wire.pack_command(*ticket.command(broker, queue, most=most)))
            self._commands[queue, most] = command
        self._wire.send_packed_command([ticket.named(command)])
        return int(self._wire.read_response())

    def close(self) -> None:
        """Close what is open, be it broken."""
        wire, broker, self._wire, self._broker = self._wire, self._broker, None, None
        if wire is not None:
            wire.disconnect()
        close(broker)


def connection(app: Celery) -> Connection:
    """Return a broker connection of the caller's own whose every wait is bounded."""
    options = {
        **(app.conf.broker_transport_options or {}),
        "socket_timeout": SOCKET_SECONDS, "socket_connect_timeout": SOCKET_SECONDS, "health_check_interval": 0,
        "max_retries": 0,
    }
    return app.connection_for_write(connect_timeout=SOCKET_SECONDS, transport_options=options)


def close(broker: Connection | None) -> None:
    """Close a connection that may be broken."""
    if broker is not None:
        with suppress(KombuError, OSError, *broker.connection_errors):
            broker.collapse() if hasattr(broker, "collapse") else broker.close()
