"""One process's way to the broker for ringing: a connection of its own whose every wait is bounded.

On Redis and Valkey a ring is one command, and by far most rings are for one job and the same command but for an id: packed
once per queue, on one of the transport's connections that is kept for it, a worker that idles hears it a third of a millisecond
sooner than through a client, which takes a connection from its pool and packs and measures each time.
"""

from contextlib import suppress
from typing import Any

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
        self._wire: Wire | None = None   # None on brokers that have no scripts

    def put(self, queue: str, *, count: int, most: int) -> int:
        """Put up to `count` tickets in a queue's line, so that `most` stand there; return the number that went in.

        Raise the connection's own errors; on brokers without a script the line's length is not asked.
        """
        if self._broker is None:
            self._broker = connection(self._app)
            channel = self._broker.default_channel
            self._wire = Wire(channel) if hasattr(channel, "_q_for_pri") else None
        if self._wire is not None:
            return self._wire.put(queue, count=count, most=most)
        return ticket.send(self._app, self._broker, queue, count=count)

    def close(self) -> None:
        """Close what is open, be it broken."""
        wire, broker, self._wire, self._broker = self._wire, self._broker, None, None
        if wire is not None:
            wire.close()
        close(broker)


class Wire:
    """The one connection to Redis or Valkey that all rings of a bell go over."""

    def __init__(self, channel: Any) -> None:
        import redis  # noqa: PLC0415  it loads much, cryptography too, which a process that rings for nothing goes without

        self._anew = redis.ResponseError, redis.ConnectionError
        self._channel = channel
        self._connection = channel.client.connection_pool.get_connection()
        self._packed: dict[tuple[str, int], bytes] = {}

    def put(self, queue: str, *, count: int, most: int) -> int:
        """Put tickets in a line, as the bell does."""
        if count == 1:
            command = [ticket.named(self._of_one(queue, most))]
        else:
            command = self._of_several(queue, most, count)
        try:
            return self._said(command)
        except self._anew:
            # It has forgotten the script, has closed what idled, or is the master no longer: everything anew, and once.
            self._connection.disconnect()
        return self._said(self._of_several(queue, most, count, whole=True))

    def _of_one(self, queue: str, most: int) -> bytes:
        packed = self._packed.get((queue, most))
        if packed is None:
            if len(self._packed) >= MOST_COMMANDS:
                self._packed.clear()
            packed = self._packed[queue, most] = b"".join(self._pack(queue, most, [ticket.unnamed(queue)]))
        return packed

    def _of_several(self, queue: str, most: int, count: int, *, whole: bool = False) -> list[bytes]:
        return self._pack(queue, most, [ticket.message(queue) for _ in range(count)], whole=whole)

    def _pack(self, queue: str, most: int, messages: list[str], *, whole: bool = False) -> list[bytes]:
        start = ("EVAL", ticket.SCRIPT) if whole else ("EVALSHA", ticket.SCRIPT_SHA)
        packed: list[bytes] = self._connection.pack_command(*start, 1, ticket.key(self._channel, queue), most, *messages)
        return packed

    def _said(self, command: list[bytes]) -> int:
        if not self._connection.is_connected:   # sending alone would not ask a Sentinel for the master
            self._connection.connect()
        self._connection.send_packed_command(command)
        return int(self._connection.read_response())

    def close(self) -> None:
        """Close the connection."""
        self._connection.disconnect()


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
